"""The engine's threads and its process: how they begin, end, die, and report errors."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from engine import errors
from engine.commands import Ask, WorkerConfig
from engine.devices import compute_threads, physical_cores, prefill_chunk
from engine.service import Engine
from engine.types import (
    Cancelled,
    Failed,
    Finished,
    Loaded,
    LoadRequest,
    ModelInfo,
    ModelSpec,
    Piece,
    TokenizerRef,
)
from engine.worker import Worker, at_border
from engine.worker_process import LOG, ProcessWorker, _Forward
from tests.engine.small import ask, engine_on, load

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import Event

from tests.engine.small import ENDLESS, PROMPT, request

if TYPE_CHECKING:
    from tests.engine.conftest import Kind


# ------------------------------------------------------------------------------------------------ threads


def test_an_engine_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    code = f"""
import sys, threading
import engine
from pathlib import Path
from engine.types import GenerateRequest
one = engine.Engine(Path({str(tmp_path)!r}))
one.submit(GenerateRequest((1,)))
assert threading.active_count() == 1
one.close()
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_compute_thread_sets_its_own_thread_count(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch counts threads per thread: what the main thread sets would not hold on the compute thread."""
    import torch

    from engine.models.rwkv7 import Rwkv7

    seen: set[tuple[str, int, bool]] = set()
    real = Rwkv7.step

    def spy(self, tokens, state):
        seen.add(
            (threading.current_thread().name, torch.get_num_threads(), torch.is_inference_mode_enabled())
        )
        return real(self, tokens, state)

    monkeypatch.setattr(Rwkv7, "step", spy)
    engine = Engine(tmp_path / "states")
    load(engine, model)
    ask(engine, request())
    engine.close()
    assert seen == {("engine-compute", max(1, physical_cores() - 1), True)}


def test_physical_cores_are_counted() -> None:
    allowed = psutil.Process().cpu_affinity() if sys.platform == "linux" else None
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)
    if allowed and len(allowed) == os.cpu_count():
        assert physical_cores() == psutil.cpu_count(logical=False)
    assert compute_threads() == max(1, physical_cores() - 1)


def test_the_chunk_shrinks_with_the_model() -> None:
    def chunk(device: str, nbytes: int) -> int:
        spec = ModelSpec("rwkv7", 1, 64, 64, 256, 100)
        return prefill_chunk(ModelInfo("", "", spec, "fp32", device, TokenizerRef(), nbytes, 0))

    assert [chunk("cpu", size) for size in (10**6, 10**8, 10**9, 6 * 10**9)] == [256, 256, 128, 32]
    assert chunk("cuda:0", 6 * 10**9) == 1024


# ------------------------------------------------------------------------------------------------ the end


@pytest.mark.usefixtures("spawned")
def test_close_cancels_saves_and_ends_all_threads(model: LoadRequest, tmp_path: Path, kind: Kind) -> None:
    before = threading.active_count()
    engine = Engine(tmp_path / "states", worker=kind, threads=1)
    load(engine, model)
    job = engine.submit(request(params=ENDLESS))
    events = iter(job)
    for event in events:
        if isinstance(event, Piece):
            break
    engine.close()
    engine.close()
    end = list(events)[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.key is not None) == ("cancelled", True)
    assert threading.active_count() == before
    with pytest.raises(errors.EngineClosed):
        engine.submit(request()).result()
    with pytest.raises(errors.EngineClosed):
        engine.load(model).result()


def test_close_while_loading_does_not_hang(model: LoadRequest, tmp_path: Path, kind: Kind) -> None:
    engine = Engine(tmp_path / "states", worker=kind, threads=1)
    loading, waiting = engine.load(model), engine.submit(request())
    engine.close()
    assert isinstance(list(loading)[-1], Cancelled | Loaded | Failed)
    assert isinstance(list(waiting)[-1], Failed | Finished)


def test_a_program_that_ends_without_closing_ends_in_order(model: LoadRequest, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from engine.service import Engine
from engine.types import *
engine = Engine(Path({str(tmp_path / "states")!r}), threads=1)
engine.identify({model.path!r}).result()
ref = TokenizerRef("json", {model.tokenizer.path!r})
engine.load(LoadRequest({model.path!r}, ref, "cpu", "fp32")).result()
job = engine.submit(GenerateRequest((1, 2), params=SamplingParams(max_tokens=1000000), stop=StopRule(())))
next(event for event in job if isinstance(event, Piece))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "states").iterdir())) == 2


def test_a_dying_process_fails_every_job_and_the_next_load_starts_another(
    model: LoadRequest, tmp_path: Path
) -> None:
    with engine_on(tmp_path, model, "process") as engine:
        jobs = [engine.submit(request(params=ENDLESS)) for _ in range(2)]
        for event in jobs[0]:
            if isinstance(event, Piece):
                break
        assert isinstance(engine._worker, ProcessWorker)
        psutil.Process(engine._worker.pid).kill()
        for job in jobs:
            with pytest.raises(errors.WorkerDied) as death:
                job.result()
            assert death.value.hint == "memory"
        with pytest.raises(errors.ModelNotLoaded):
            engine.submit(request()).result()
        load(engine, model)
        assert ask(engine, request()).finished.reason == "length"


def test_a_process_that_dies_while_nobody_waits_is_told(model: LoadRequest, tmp_path: Path) -> None:
    told: queue.Queue[errors.WorkerDied] = queue.Queue()
    with engine_on(tmp_path, model, "process") as engine:
        engine.on_death = told.put
        assert isinstance(engine._worker, ProcessWorker)
        psutil.Process(engine._worker.pid).kill()
        assert told.get(timeout=60).exit_code != 0
        load(engine, model)  # the next one starts another


def test_the_child_ends_when_its_parent_is_killed(model: LoadRequest, tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from engine.service import Engine
from engine.types import *
if __name__ == "__main__":
    engine = Engine(Path({str(tmp_path / "states")!r}), worker="process", threads=1)
    ref = TokenizerRef("json", {model.tokenizer.path!r})
    engine.load(LoadRequest({model.path!r}, ref, "cpu", "fp32")).result()
    engine.submit(GenerateRequest((1, 2), params=SamplingParams(max_tokens=1000000), stop=StopRule(())))
    print(engine._worker.pid, flush=True)
    time.sleep(600)
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(timeout=60)


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="a system without that signal")
def test_a_process_whose_file_was_shortened_says_so(model: LoadRequest, tmp_path: Path) -> None:
    """The signal is sent as the system would, which needs a model larger than the tests'."""
    with engine_on(tmp_path, model, "process") as engine:
        job = engine.submit(request(params=ENDLESS))
        for event in job:
            if isinstance(event, Piece):
                break
        assert isinstance(engine._worker, ProcessWorker)
        psutil.Process(engine._worker.pid).send_signal(signal.SIGBUS)
        with pytest.raises(errors.WorkerDied) as death:
            job.result()
    assert death.value.hint == "shortened"


def test_a_worker_thread_that_breaks_fails_every_job(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "_admit", lambda self: 1 / 0)
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)  # it prints: nothing may reach a full screen
    engine = Engine(tmp_path / "states")
    with pytest.raises(errors.WorkerDied):
        engine.load(model).result()
    engine.close()
    assert raised == []


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("error", "mapped"),
    [
        (errors.StoreFull(2, 1), errors.StoreFull),
        (MemoryError(), errors.OutOfMemory),
        (RuntimeError("CUDA out of memory. Tried to allocate"), errors.OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), errors.OutOfMemory),
        (OSError(5, "Input/output error", "/file"), errors.DiskFailed),
        (ZeroDivisionError("division by zero"), errors.Unexpected),
    ],
)
def test_errors_are_mapped_once(error: Exception, mapped: type) -> None:
    found = at_border(error)
    assert type(found) is mapped
    assert found is error or found.__cause__ is error


def test_an_unexpected_error_fails_the_job_and_is_logged_without_any_text(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from engine.models.rwkv7 import Rwkv7

    def broken(self, tokens, state):
        raise ZeroDivisionError("broken model")

    with engine_on(tmp_path, model) as engine:
        monkeypatch.setattr(Rwkv7, "step", broken)
        with pytest.raises(errors.Unexpected) as caught:
            engine.submit(request((0, 201, 202, 203, 204))).result()
        monkeypatch.undo()
        assert ask(engine, request()).finished.reason == "length"
    assert caught.value.kind == "ZeroDivisionError"
    assert "Traceback" in caplog.text
    assert "201" not in caplog.text


def test_out_of_memory_frees_what_can_be_had_again(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.models.rwkv7 import Rwkv7

    def full(self, tokens, state):
        raise RuntimeError("CUDA out of memory")

    with engine_on(tmp_path, model) as engine:
        end = ask(engine, request()).finished
        monkeypatch.setattr(Rwkv7, "forward", full)
        with pytest.raises(errors.OutOfMemory):
            engine.submit(request((0, 1, 2))).result()
        monkeypatch.undo()
        after = ask(engine, request((9,), PROMPT + end.tokens)).finished
        assert after.usage.source == "disk"


def test_a_log_record_of_the_process_reaches_the_parent(
    model: LoadRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "states").write_text("a file is in the way")
    with engine_on(tmp_path, model, "process"), caplog.at_level(logging.WARNING, "engine"):
        pass
    assert "states cannot be kept" in caplog.text


def test_what_the_process_logs_holds_no_exceptions_message() -> None:
    """It could quote what was typed; the log file of the parent would keep it."""
    word, sent = "secret", []
    log = logging.getLogger("engine.test")
    handler = _Forward(lambda job, event: sent.append((job, event)))
    log.addHandler(handler)
    try:
        raise KeyError(f"a {word}")
    except KeyError:
        log.exception("unexpected")
    finally:
        log.removeHandler(handler)
    ((job, (level, text)),) = sent
    assert (job, level) == (LOG, logging.ERROR)
    assert text.startswith("unexpected\n")
    assert "test_worker.py" in text
    assert text.endswith("KeyError")
    assert word not in text


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_a_closed_terminal_leaves_the_process_to_its_parent(model: LoadRequest, tmp_path: Path) -> None:
    """The system tells the whole group; the reply must still be kept by whoever asked for it."""
    with engine_on(tmp_path, model, "process") as engine:
        job = engine.submit(request(params=ENDLESS))
        events = iter(job)
        assert any(isinstance(event, Piece) for event in events)
        assert isinstance(engine._worker, ProcessWorker)
        psutil.Process(engine._worker.pid).send_signal(signal.SIGHUP)
        job.cancel()
        end = list(events)[-1]
    assert isinstance(end, Finished)
    assert end.key is not None


def test_a_worker_takes_commands_while_busy(model: LoadRequest, tmp_path: Path) -> None:
    """A cancel put directly to the worker is seen by the running job, not after it."""
    from engine.commands import Cancel

    ended = threading.Event()
    events: list[Event] = []

    def emit(job: int, event: Event) -> None:
        events.append(event)
        if isinstance(event, Piece):
            worker.put(Cancel(2))
        if isinstance(event, Finished):
            ended.set()

    worker = Worker(WorkerConfig(tmp_path / "states", threads=1), emit, lambda code: ended.set())
    worker.put(Ask(1, model))
    worker.put(Ask(2, request(params=ENDLESS)))
    assert ended.wait(60)
    worker.close()
    assert sum(isinstance(event, Piece) for event in events) <= 2


@pytest.mark.usefixtures("spawned")
def test_a_full_screen_program_in_place_of_stderr_does_not_hinder_the_process(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Textual's stand-in has no descriptor, which multiprocessing would hand on."""

    class Captured:
        def write(self, text: str) -> None:
            raise AssertionError(text)

        def flush(self) -> None: ...

        def fileno(self) -> int:
            return -1

    captured = Captured()
    monkeypatch.setattr(sys, "stderr", captured)
    # a tracker that runs already would hide the fault
    from multiprocessing import resource_tracker

    tracker = resource_tracker.ResourceTracker()
    monkeypatch.setattr(resource_tracker, "getfd", tracker.getfd)
    with engine_on(tmp_path, model, "process") as engine:
        assert ask(engine, request(max_tokens=2)).finished.tokens
    assert sys.stderr is captured
