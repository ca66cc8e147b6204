"""`Engine.download`: beside either kind of worker, before any model, several at once, paused and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import psutil
import pytest

from engine import errors
from engine.service import Engine
from engine.store.fingerprint import known, mark
from engine.types import Cancelled, Downloaded, DownloadRequest, Failed, Progress
from engine.weights.partial import kept
from tests.engine.hub import Fault, Hub
from tests.engine.small import engine_on, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.types import LoadRequest
    from tests.engine.conftest import Kind

SIZE = 700_001
BODY = Random(3).randbytes(SIZE)
SHA = sha256(BODY).hexdigest()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "states", cache=tmp_path / "cache")
    yield made
    made.close()


def asked(folder: Path, hub: Hub, name: str = "model.pth", *faults: Fault) -> DownloadRequest:
    return DownloadRequest(hub.add(f"/{name}", BODY, *faults), str(folder / "models" / name), SIZE, SHA)


def test_a_download_needs_no_model_no_worker_and_no_torch(hub: Hub, tmp_path: Path) -> None:
    request = asked(tmp_path, hub)
    code = f"""
import sys
from pathlib import Path
from engine.service import Engine
from engine.types import *
engine = Engine(Path({str(tmp_path / "states")!r}))
done = engine.download({request!r}).result()
assert isinstance(done, Downloaded), done
assert engine._worker is None
engine.close()
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Path(request.path).read_bytes() == BODY


def test_what_was_verified_is_not_hashed_again(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    request = asked(tmp_path, hub)
    assert engine.download(request).result() == Downloaded(request.path, SIZE, SHA, "known")
    assert known(mark(Path(request.path)), tmp_path / "cache") == SHA


def test_a_download_runs_beside_a_model(model: LoadRequest, hub: Hub, tmp_path: Path, kind: Kind) -> None:
    hub.throttle = 0.02
    with engine_on(tmp_path, model, kind) as engine:
        job = engine.download(asked(tmp_path, hub))
        load(engine, model)  # again: the worker is busy with it
        assert isinstance(job.result(), Downloaded)


def test_a_download_outlives_a_worker_that_dies(model: LoadRequest, hub: Hub, tmp_path: Path) -> None:
    hub.throttle = 0.02
    with engine_on(tmp_path, model, "process") as engine:
        job = engine.download(asked(tmp_path, hub))
        events = iter(job)
        next(events)
        worker = engine._worker
        psutil.Process(worker.pid).kill()  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
        assert isinstance(list(events)[-1], Downloaded)


def test_several_run_at_once_and_the_others_wait(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    stalled = [engine.download(asked(tmp_path, hub, f"{n}.pth", Fault(stall=1000))) for n in range(2)]
    waiting = engine.download(asked(tmp_path, hub, "2.pth"))
    for job in stalled:
        assert any(isinstance(event, Progress) for event in job)
    assert hub.stalling.wait(60)
    time.sleep(0.05)
    assert {each.path for each in hub.log} == {"/0.pth", "/1.pth"}
    stalled[0].cancel()
    assert isinstance(waiting.result(), Downloaded)


def test_a_paused_download_goes_on_with_the_next_request(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    request = asked(tmp_path, hub, "model.pth", Fault(stall=400_000))
    job = engine.download(request)
    while kept(Path(request.path))[0] < 400_000:
        time.sleep(0.01)
    begun = time.monotonic()
    job.cancel()
    assert list(job)[-1] == Cancelled()
    assert time.monotonic() - begun < 25
    assert kept(Path(request.path)) == (400_000, SIZE)
    first, *_, last = engine.download(request)
    assert first in {Progress("hash", 400_000, 400_000), Progress("download", 400_000, SIZE)}
    assert isinstance(last, Downloaded)
    assert hub.sent == SIZE


def test_one_that_waits_can_be_paused_too(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    stalled = [engine.download(asked(tmp_path, hub, f"{n}.pth", Fault(stall=1000))) for n in range(2)]
    waiting = engine.download(asked(tmp_path, hub, "2.pth"))
    waiting.cancel()
    stalled[0].cancel()
    assert waiting.result() == Cancelled()
    assert not any(each.path == "/2.pth" for each in hub.log)


def test_close_pauses_all_and_ends_the_threads(hub: Hub, tmp_path: Path) -> None:
    before = threading.active_count()
    engine = Engine(tmp_path / "states")
    jobs = [engine.download(asked(tmp_path, hub, f"{n}.pth", Fault(stall=1000))) for n in range(3)]
    assert hub.stalling.wait(60)
    engine.close()
    assert [list(job)[-1] for job in jobs] == [Cancelled()] * 3
    hub.ended.set()
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    with pytest.raises(errors.EngineClosed):
        engine.download(asked(tmp_path, hub)).result()


def test_a_program_that_ends_without_closing_does_not_wait(hub: Hub, tmp_path: Path) -> None:
    request = asked(tmp_path, hub, "model.pth", Fault(stall=1000))
    code = f"""
from pathlib import Path
from engine.service import Engine
from engine.types import *
job = Engine(Path({str(tmp_path / "states")!r})).download({request!r})
next(event for event in job if isinstance(event, Progress) and event.total)
"""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begun < 60


def test_errors_end_the_job(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    job = engine.download(asked(tmp_path, hub, "model.pth", Fault(status=404)))
    assert isinstance(list(job)[-1], Failed)
    with pytest.raises(errors.FileGone):
        engine.download(asked(tmp_path, hub, "model.pth", Fault(status=404))).result()


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_a_disk_error(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "models").mkdir(mode=0o500)
    with pytest.raises(errors.DiskFailed):
        engine.download(asked(tmp_path, hub)).result()


def test_a_file_in_the_place_of_the_folder_is_a_disk_error(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(errors.DiskFailed) as caught:
        engine.download(asked(tmp_path, hub)).result()
    assert "models" in caught.value.path


def test_progress_comes_ten_times_a_second_at_most(hub: Hub, tmp_path: Path, engine: Engine) -> None:
    hub.throttle = 0.005
    begun = time.monotonic()
    events = list(engine.download(asked(tmp_path, hub)))
    assert len(events) <= 10 * (time.monotonic() - begun) + 5
