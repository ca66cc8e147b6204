"""The engine as front ends see it, with a thread and with a process as worker."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Literal

import psutil
import pytest

from engine import errors
from engine.commands import Ask, WorkerConfig
from engine.devices import compute_threads, physical_cores, prefill_chunk
from engine.prefix import extend
from engine.service import Engine
from engine.types import (
    Cancelled,
    Failed,
    Finished,
    GenerateRequest,
    Loaded,
    LoadRequest,
    ModelInfo,
    ModelSpec,
    Piece,
    Prefilled,
    Progress,
    SamplingParams,
    Saved,
    TokenizerRef,
)
from engine.worker import Worker, at_border
from engine.worker_process import ProcessWorker
from tests.engine.small import NO_STOP, ask, engine_on, load, outcome, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.types import Event

Kind = Literal["thread", "process"]
PROMPT = (0, 73, 106, 11)


def request(prompt=PROMPT, history=(), max_tokens: int = 12, **more) -> GenerateRequest:
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    return GenerateRequest(prompt, history=history, **{"params": params, "stop": NO_STOP, **more})


ENDLESS = SamplingParams(temperature=0, max_tokens=1_000_000)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadRequest:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=["thread", "process"])
def shared(
    request: pytest.FixtureRequest, model: LoadRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """One engine of each kind for the tests that leave it as it was."""
    with engine_on(tmp_path_factory.mktemp("shared"), model, request.param) as engine:
        yield engine


@pytest.fixture(params=["thread", "process"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


# ------------------------------------------------------------------------------------------------ one reply


def test_a_reply_from_prompt_to_saved_state(shared: Engine) -> None:
    found = ask(shared, request())
    end = found.finished
    kinds = [type(event) for event in found.events if not isinstance(event, Saved)]
    pieces = len(found.of(Piece))
    assert kinds == [*[Prefilled] * 3, *[Piece] * pieces, Finished]
    assert (end.reason, end.text, len(end.tokens)) == ("length", found.pieces, 12)
    assert end.prefix == extend(PROMPT + end.tokens)
    assert end.key is not None
    assert end.key.prefix == end.prefix
    assert (end.usage.prompt_tokens, end.usage.reply_tokens, end.usage.source) == (4, 12, "fresh")


def test_both_snapshots_are_saved_before_the_end_is_told(shared: Engine) -> None:
    found = ask(shared, request((0, 1, 2)))
    assert [event.key.prefix for event in found.of(Saved)] == [extend((0, 1, 2)), found.finished.prefix]
    assert isinstance(found.events[-1], Finished)


def test_a_seed_gives_the_same_text_again_and_none_a_new_one(shared: Engine) -> None:
    sampled = SamplingParams(top_p=1.0, max_tokens=20, seed=5)
    first, again = (ask(shared, request(params=sampled)).finished for _ in range(2))
    assert first.tokens == again.tokens
    assert first.usage.seed == 5
    free = SamplingParams(top_p=1.0, max_tokens=20)
    one, two = (ask(shared, request(params=free)).finished for _ in range(2))
    assert one.usage.seed != two.usage.seed
    assert one.tokens != two.tokens


def test_alternatives_can_each_be_had_again_by_their_seed(shared: Engine) -> None:
    sampled = SamplingParams(top_p=1.0, max_tokens=15, seed=40)
    found = ask(shared, request(params=sampled, n=3))
    ends = {end.index: end for end in found.of(Finished)}
    assert sorted(ends) == [0, 1, 2]
    assert len({end.tokens for end in ends.values()}) == 3
    for index, end in ends.items():
        assert end.usage.seed == 40 + index
        alone = SamplingParams(top_p=1.0, max_tokens=15, seed=40 + index)
        assert ask(shared, request(params=alone)).finished.tokens == end.tokens
        assert "".join(piece.text for piece in found.of(Piece) if piece.index == index) == end.text
        history = PROMPT + end.tokens
        assert ask(shared, request((9,), history)).finished.usage.history_tokens == 0


def test_top_tokens_come_with_their_pieces(shared: Engine) -> None:
    found = ask(shared, request(top=3))
    for piece in found.of(Piece):
        assert len(piece.top) == len(piece.tokens)
        for token, top in zip(piece.tokens, piece.top, strict=True):
            assert len(top) == 3
            assert top[0].id == token  # greedy takes the likeliest


@pytest.mark.parametrize(
    "bad",
    [
        request(()),
        request((1, 99_999)),
        request((-1,)),
        request(n=0),
        request(n=1000),
        request(history=(1, 2), start="0" * 64),
        request(initial="unknown"),
        request(continues=99),
        request(params=SamplingParams(bans=tuple(range(500)))),
    ],
)
def test_requests_that_cannot_be_served_fail_at_once(shared: Engine, bad: GenerateRequest) -> None:
    (failed,) = [event for event in ask(shared, bad).events if isinstance(event, Failed)]
    assert isinstance(failed.error, errors.InvalidRequest)


def test_two_replies_take_turns_and_do_not_mix(shared: Engine) -> None:
    alone = [ask(shared, request((0, n), max_tokens=40)).finished.tokens for n in (7, 8)]
    jobs = [shared.submit(request((0, n), max_tokens=40)) for n in (7, 8)]
    assert [outcome(job).finished.tokens for job in jobs] == alone


async def test_a_job_is_read_by_an_event_loop(shared: Engine) -> None:
    events = [event async for event in shared.submit(request(max_tokens=100))]
    end = events[-1]
    assert isinstance(end, Finished)
    assert "".join(event.text for event in events if isinstance(event, Piece)) == end.text


# ------------------------------------------------------------------------------------------------ cancelling


def test_cancel_stops_at_the_next_token_and_keeps_what_was_shown(shared: Engine) -> None:
    job = shared.submit(request(params=ENDLESS))
    seen: list[Event] = []
    for event in job:
        seen.append(event)
        if len(seen) == 10:
            job.cancel()
    end = seen[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.key is not None) == ("cancelled", True)
    assert end.text == "".join(event.text for event in seen if isinstance(event, Piece))
    after = ask(shared, request((9,), PROMPT + end.tokens))
    assert after.finished.usage.history_tokens == 0


def test_cancel_during_prefill_ends_every_alternative(shared: Engine) -> None:
    long = tuple(1 + n % 250 for n in range(60_000))
    job = shared.submit(request(long, n=2))
    events = []
    for event in job:
        events.append(event)
        job.cancel()
    ends = [event for event in events if isinstance(event, Finished)]
    assert [(end.index, end.reason, end.tokens, end.key) for end in ends] == [
        (0, "cancelled", (), None),
        (1, "cancelled", (), None),
    ]
    assert max(event.done for event in events if isinstance(event, Prefilled)) < len(long)


def test_a_prefill_cut_short_is_taken_up_where_it_stopped(shared: Engine) -> None:
    long = tuple(1 + n % 249 for n in range(8_000))
    job = shared.submit(request(long))
    for event in job:
        if isinstance(event, Prefilled) and event.done >= 512:
            job.cancel()
    found = ask(shared, request(long))
    fed = found.of(Prefilled)[-1].total
    assert fed <= len(long) - 511
    assert found.finished.usage.prompt_tokens == fed - 1
    assert found.finished.tokens == ask(shared, request((), long)).finished.tokens


def test_cancel_of_a_waiting_job(shared: Engine) -> None:
    first = shared.submit(request(params=ENDLESS))
    second = shared.submit(request())
    second.cancel()
    assert outcome(second).finished.reason == "cancelled"
    first.cancel()
    assert outcome(first).finished.reason == "cancelled"


def test_cancel_while_loading(model: LoadRequest, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states", threads=1)
    job = engine.load(model)
    job.cancel()
    events = list(job)
    engine.close()
    assert isinstance(events[-1], Cancelled)


def test_cancel_while_hashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: LoadRequest) -> None:
    def slow(path: object, cache: object, should_stop) -> str:
        while not should_stop():
            time.sleep(0.01)
        from engine.store.fingerprint import Stopped

        raise Stopped

    monkeypatch.setattr("engine.compute.fingerprint", slow)
    engine = Engine(tmp_path / "states", threads=1)
    job = engine.load(model)
    events: list[Event] = []
    for event in job:
        events.append(event)
        if isinstance(event, Progress) and event.task == "hash":
            job.cancel()
    assert isinstance(events[-1], Cancelled)
    engine.close()


# ------------------------------------------------------------------------------------------------ loading


def test_a_reply_before_any_load_fails(tmp_path: Path, kind: Kind) -> None:
    engine = Engine(tmp_path / "states", worker=kind)
    with pytest.raises(errors.ModelNotLoaded):
        engine.submit(request()).result()
    engine.close()


def test_a_reply_asked_for_during_the_load_waits_for_it(model: LoadRequest, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states", threads=1)
    loading, reply = engine.load(model), engine.submit(request())
    assert outcome(reply).finished.reason == "length"
    assert isinstance(loading.result(), Loaded)
    engine.close()


def test_a_load_waits_for_running_replies_and_then_takes_their_place(
    model: LoadRequest, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", seed=1)
    with engine_on(tmp_path, model) as engine:
        before = engine.submit(request(max_tokens=200))
        loading = engine.load(other)
        after = engine.submit(request(max_tokens=200))
        first, loaded, second = outcome(before).finished, loading.result(), outcome(after).finished
        assert isinstance(loaded, Loaded)
        assert first.key is not None
        assert second.key is not None
        assert first.key.model != second.key.model == loaded.info.id
        assert first.tokens != second.tokens


@pytest.mark.parametrize("kind_of_file", ["missing", "garbage", "tokenizer"])
def test_a_failed_load_leaves_the_model_in_place(
    model: LoadRequest, tmp_path: Path, kind_of_file: str
) -> None:
    path = tmp_path / "bad.safetensors"
    bad = LoadRequest(str(path), model.tokenizer)
    if kind_of_file != "missing":
        path.write_bytes(b"garbage" * 100)
    if kind_of_file == "tokenizer":
        bad = LoadRequest(model.path, TokenizerRef("json", str(path)))
    with engine_on(tmp_path, model) as engine:
        with pytest.raises(
            (errors.ModelNotFound, errors.WeightsCorrupt, errors.UnsupportedFormat, errors.TokenizerInvalid)
        ):
            engine.load(bad).result()
        assert ask(engine, request()).finished.reason == "length"


def test_unknown_devices_and_tiers_are_typed_errors(model: LoadRequest, tmp_path: Path) -> None:
    engine = Engine(tmp_path / "states", threads=1)
    with pytest.raises(errors.DeviceUnavailable):
        engine.load(LoadRequest(model.path, model.tokenizer, device="cuda:99")).result()
    with pytest.raises(errors.InvalidRequest):
        engine.load(LoadRequest(model.path, model.tokenizer, dtype="fp7")).result()
    engine.close()


def test_the_model_before_is_given_up_where_two_do_not_fit(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.weights import load as weights

    real, calls = weights.load, []

    def tight(*args, **options):
        calls.append(args)
        if len(calls) == 1:
            raise errors.OutOfMemory(2, 1)
        return real(*args, **options)

    with engine_on(tmp_path, model) as engine:
        monkeypatch.setattr(weights, "load", tight)
        load(engine, model)
        assert len(calls) == 2
        assert ask(engine, request()).finished.reason == "length"


def test_what_loaded_says_about_the_model(shared: Engine, model: LoadRequest) -> None:
    info = load(shared, model)
    assert (info.tier, info.device, info.spec.arch, info.tokenizer) == (
        "fp32",
        "cpu",
        "rwkv7",
        model.tokenizer,
    )
    assert info.state_nbytes == 2 * (2 * 16 * 16 + 2 * 32) * 4
    digest = subprocess.run(["sha256sum", model.path], capture_output=True, text=True, check=True).stdout
    assert digest.startswith(info.id)


# ------------------------------------------------------------------------------------------------ the store


def test_without_room_the_reply_ends_without_a_key(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model, budget_bytes=100) as engine:
        found = ask(engine, request())
    assert found.finished.key is None
    assert found.of(Saved) == []


def test_a_states_folder_that_cannot_be_made_costs_no_reply(model: LoadRequest, tmp_path: Path) -> None:
    (tmp_path / "states").write_text("a file is in the way")
    with engine_on(tmp_path, model) as engine:
        found = ask(engine, request())
    assert (found.finished.reason, found.finished.key) == ("length", None)


def test_a_states_folder_taken_away_costs_only_time(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        first = ask(engine, request()).finished
        shutil.rmtree(tmp_path / "states")
        engine.forget([first.prefix])
        assert ask(engine, request((9,), PROMPT + first.tokens)).finished.key is not None
        assert ask(engine, request((0, 9))).finished.key is not None


def test_a_disk_that_fills_up_costs_no_reply(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with engine_on(tmp_path, model) as engine, caplog.at_level(logging.WARNING, "engine"):
        monkeypatch.setattr("engine.store.statestore.StateStore._write", full)
        assert ask(engine, request()).finished.key is None
    assert "No space left" in caplog.text


def test_forgotten_states_are_gone_from_disk_and_device(shared: Engine) -> None:
    prompt = (0, 3, 4)
    end = ask(shared, request(prompt)).finished
    shared.forget([end.prefix, extend(prompt)])
    again = ask(shared, request((9,), prompt + end.tokens)).finished
    assert (again.usage.source, again.usage.history_tokens) == ("rebuilt", len(prompt + end.tokens))


def test_states_are_forgotten_without_a_model_and_without_torch(tmp_path: Path) -> None:
    prefix = extend(PROMPT)
    code = f"""
import sys
from pathlib import Path
from engine.service import Engine
engine = Engine(Path({str(tmp_path)!r}))
engine.forget([{prefix!r}])
engine.close()
sys.exit("torch" in sys.modules)
"""
    path = tmp_path / f"{prefix[:32]}-{'0' * 32}.safetensors"
    path.write_bytes(b"state")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert not path.exists()


def test_kept_states_survive_the_budget(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        size = ask(engine, request()).of(Saved)[-1].nbytes
    with engine_on(tmp_path / "two", model, budget_bytes=size * 4) as engine:
        tip = ask(engine, request()).finished
        engine.keep([tip.prefix])
        for n in range(6):
            ask(engine, request((0, n)))
        names = [path.name for path in (tmp_path / "two" / "states").iterdir()]
        assert any(name.startswith(tip.prefix[:32]) for name in names)
        assert sum(path.stat().st_size for path in (tmp_path / "two" / "states").iterdir()) <= size * 4


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

    assert [chunk("cpu", size) for size in (10**6, 10**8, 10**9, 6 * 10**9)] == [256, 256, 32, 16]
    assert chunk("cuda:0", 6 * 10**9) == 256


# ------------------------------------------------------------------------------------------------ the end


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
            with pytest.raises(errors.WorkerDied):
                job.result()
        with pytest.raises(errors.ModelNotLoaded):
            engine.submit(request()).result()
        load(engine, model)
        assert ask(engine, request()).finished.reason == "length"


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
    time.sleep(60)
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(timeout=20)


def test_a_worker_thread_that_breaks_fails_every_job(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "_admit", lambda self: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    engine = Engine(tmp_path / "states")
    with pytest.raises(errors.WorkerDied):
        engine.load(model).result()
    engine.close()


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
    assert ended.wait(30)
    worker.close()
    assert sum(isinstance(event, Piece) for event in events) <= 2
