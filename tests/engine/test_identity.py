"""A model speaks before its file is hashed: states wait for the id, and are saved under it or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import torch

from engine import errors
from engine.identifier import NICE, NICEST, Identifier
from engine.ram import Ram
from engine.service import Engine
from engine.store import fingerprint
from engine.store.fingerprint import mark
from engine.types import Cancelled, Identified, Loaded, Progress, Saved
from tests.engine.small import ENDLESS, PROMPT, ask, outcome, request, write_model
from tests.engine.test_store import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.types import Event, LoadRequest, ModelInfo
    from tests.engine.conftest import Kind

HUGE = 1 << 34  # bytes of a file without content: hashing it takes longer than a test


@pytest.fixture
def either(tmp_path: Path, kind: Kind) -> Iterator[Engine]:
    """Of each kind, where something goes over the border between them."""
    engine = Engine(tmp_path / "states", cache=tmp_path / "cache", worker=kind, threads=1)
    yield engine
    engine.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "states", cache=tmp_path / "cache", threads=1)
    yield engine
    engine.close()


def load_alone(engine: Engine, wanted: LoadRequest) -> ModelInfo:
    """Loads without identifying."""
    last = engine.load(wanted).result()
    assert isinstance(last, Loaded)
    return last.info


def identity(engine: Engine, path: Path | str) -> str:
    last = engine.identify(path).result()
    assert isinstance(last, Identified)
    assert last.path == str(path)
    return last.id


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def saved(tmp_path: Path) -> list[dict[str, str]]:
    """The metadata of every saved state."""
    found = []
    for path in (tmp_path / "states").glob("*"):
        data = path.read_bytes()
        found.append(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"])
    return found


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


# ------------------------------------------------------------------------------------------------ waiting


def test_a_reply_before_the_id_is_known_is_saved_under_the_id_when_it_is(
    either: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    assert load_alone(either, model).id == ""
    found = ask(either, request())
    assert (found.finished.key, found.of(Saved), saved(tmp_path)) == (None, [], [])
    assert identity(either, model.path) == sha256(model.path)
    keys = {(each["key.model"], each["key.prefix"]) for each in saved(tmp_path)}
    assert len(keys) == 2
    assert {model_id for model_id, _ in keys} == {sha256(model.path)}
    assert found.finished.prefix in {prefix for _, prefix in keys}
    after = ask(either, request((9,), PROMPT + found.finished.tokens))
    assert after.finished.key is not None
    assert after.finished.key.model == sha256(model.path)


def test_what_waited_resumes_after_a_restart_exactly_as_if_it_had_been_rebuilt(
    engine: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    load_alone(engine, model)
    first = ask(engine, request()).finished
    identity(engine, model.path)
    engine.close()
    ends = []
    for states in ("states", "none"):
        with_states = Engine(tmp_path / states, cache=tmp_path / "cache", threads=1)
        assert load_alone(with_states, model).id == sha256(model.path)  # remembered
        ends.append(ask(with_states, request((9,), PROMPT + first.tokens)).finished)
        with_states.close()
    resumed, rebuilt = ends
    assert (resumed.usage.source, rebuilt.usage.source) == ("disk", "rebuilt")
    assert (resumed.tokens, resumed.text, resumed.key) == (rebuilt.tokens, rebuilt.text, rebuilt.key)


def test_states_that_wait_are_resumed_from_ram(engine: Engine, model: LoadRequest) -> None:
    """More conversations than a device remembers."""
    load_alone(engine, model)
    starts = [(0, 10 + n) for n in range(6)]
    firsts = [ask(engine, request(start, max_tokens=3)).finished for start in starts]
    for start, first in zip(starts, firsts, strict=True):
        again = ask(engine, request((9,), start + first.tokens, max_tokens=3)).finished
        assert (again.usage.source, again.usage.history_tokens) == ("ram", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_kill_before_the_id_is_known_leaves_no_state_and_loses_no_word(
    model: LoadRequest, tmp_path: Path
) -> None:
    engine = Engine(tmp_path / "states", cache=tmp_path / "cache", worker="process", threads=1)
    load_alone(engine, model)
    first = ask(engine, request()).finished
    hashing = engine.identify(sparse(tmp_path / "huge.pth"))
    assert isinstance(next(iter(hashing)), Progress)
    assert engine._worker is not None
    psutil.Process(engine._worker.pid).send_signal(signal.SIGKILL)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(errors.WorkerDied):
        hashing.result()
    assert list((tmp_path / "states").iterdir()) == []
    load_alone(engine, model)
    after = ask(engine, request((9,), PROMPT + first.tokens)).finished
    assert (after.usage.source, after.usage.history_tokens) == ("rebuilt", len(PROMPT + first.tokens))
    engine.close()
    assert list((tmp_path / "states").iterdir()) == []


def test_a_conversation_deleted_while_it_waits_is_not_saved(
    engine: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    load_alone(engine, model)
    kept, gone = (ask(engine, request((0, n))).finished for n in (1, 2))
    engine.forget([gone.prefix])
    identity(engine, model.path)
    prefixes = {each["key.prefix"] for each in saved(tmp_path)}
    assert kept.prefix in prefixes
    assert gone.prefix not in prefixes


def test_states_of_a_model_that_was_replaced_wait_for_its_own_id(
    engine: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", seed=1)
    load_alone(engine, model)
    first = ask(engine, request()).finished
    load_alone(engine, other)
    second = ask(engine, request()).finished
    identity(engine, model.path)
    assert {each["key.model"] for each in saved(tmp_path)} == {sha256(model.path)}
    identity(engine, other.path)
    models = {(each["key.model"], each["key.prefix"]) for each in saved(tmp_path)}
    assert {(sha256(model.path), first.prefix), (sha256(other.path), second.prefix)} <= models
    assert (sha256(other.path), first.prefix) not in models


def test_a_file_replaced_after_it_was_loaded_gives_its_id_to_no_state(
    engine: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(Path(model.path).read_bytes())
    load_alone(engine, replace(model, path=str(mine)))
    ask(engine, request())
    other = write_model(tmp_path / "other", seed=1)
    Path(other.path).replace(mine)
    assert identity(engine, mine) == sha256(mine)
    assert ask(engine, request((0, 5))).finished.key is None
    assert saved(tmp_path) == []


def test_an_unknown_id_costs_no_more_ram_than_agreed() -> None:
    one = snapshot(1, 2)
    unknown = replace(one, key=replace(one.key, model=""))
    waiting, path = Ram(2 * one.state.nbytes), mark(Path(__file__))
    for n in range(4):
        waiting.add(path, replace(unknown, key=replace(unknown.key, prefix=f"{n:064}")), unsaved=True)
    assert waiting.get(path, "fp32", "", "", f"{1:064}") is None
    taken = waiting.take(path, "a" * 64)
    assert [(each.key.model, int(each.key.prefix)) for each in taken] == [("a" * 64, 2), ("a" * 64, 3)]
    assert torch.equal(taken[0].state.tensors["wkv_BLHVK"], one.state.tensors["wkv_BLHVK"])
    assert waiting.take(path, "a" * 64) == []


# ------------------------------------------------------------------------------------------------ hashing


def test_replies_do_not_wait_for_hashing_and_it_can_be_cancelled(
    either: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    load_alone(either, model)
    hashing = either.identify(sparse(tmp_path / "huge.pth"))
    waiting = either.identify(model.path)  # behind it: one file at a time
    events: list[Event] = []
    for event in hashing:
        events.append(event)
        if len(events) == 1:
            assert ask(either, request()).finished.reason == "length"
            hashing.cancel()
    assert isinstance(events[0], Progress)
    assert (events[0].task, events[0].total) == ("hash", HUGE)
    assert isinstance(events[-1], Cancelled)
    assert isinstance(waiting.result(), Identified)


def test_progress_is_told_at_most_a_hundred_times_and_ends_at_the_whole(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(bytes(1000))
    told: list[Event] = []
    ended = threading.Event()
    hashing = Identifier(
        None, lambda job, event: told.append(event), lambda job, error: None, lambda found: ended.set()
    )
    fingerprint.BLOCK, block = 2, fingerprint.BLOCK
    try:
        hashing.begin(1, str(tmp_path / "w.pth"), lambda: False)
        assert ended.wait(60)
    finally:
        fingerprint.BLOCK = block
        hashing.close()
    done = [each.done for each in told if isinstance(each, Progress)]
    assert len(done) == 100
    assert done == sorted(done)
    assert told[-1] == Progress("hash", 1000, 1000)


def test_closing_does_not_wait_for_hashing(engine: Engine, tmp_path: Path) -> None:
    hashing = engine.identify(sparse(tmp_path / "huge.pth"))
    assert isinstance(next(iter(hashing)), Progress)
    engine.close()
    assert list(hashing)[-1:] != []


def test_closing_while_a_reply_runs_and_its_id_is_unknown(engine: Engine, model: LoadRequest) -> None:
    load_alone(engine, model)
    job = engine.submit(request(params=ENDLESS))
    next(iter(job))
    engine.close()
    assert outcome(job).finished.key is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
def test_hashing_yields_to_others(tmp_path: Path) -> None:
    found: list[int] = []
    hashing = Identifier(None, lambda job, event: None, lambda job, error: None, lambda found: None)
    (tmp_path / "w").write_bytes(b"x")

    def look() -> bool:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    hashing.begin(1, str(tmp_path / "w"), look)
    hashing.close()
    assert found == [min(os.getpriority(os.PRIO_PROCESS, 0) + NICE, NICEST)]


def test_what_is_not_there_has_no_identity(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none.pth", tmp_path / "folder"):
        with pytest.raises(errors.ModelNotFound):
            engine.identify(path).result()


def test_a_file_that_changes_while_it_is_loaded_is_noticed(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.weights import load as weights

    real, mine = weights.load, tmp_path / "mine.safetensors"
    mine.write_bytes(Path(model.path).read_bytes())

    def meddling(*args, **options):
        found = yield from real(*args, **options)
        os.utime(mine, ns=(1, 1))
        return found

    monkeypatch.setattr(weights, "load", meddling)
    engine = Engine(tmp_path / "states", threads=1)
    with pytest.raises(errors.FileChanged):
        load_alone(engine, replace(model, path=str(mine)))
    engine.close()
