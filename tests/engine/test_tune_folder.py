"""A run's folder: its settings are checked field by field, its log survives a kill, one process is at it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from engine import errors
from engine.errors import (
    DiskFailed,
    EngineError,
    InvalidParameter,
    InvalidRequest,
    ModelNotFound,
    OutOfMemory,
    TuneBusy,
    Unexpected,
)
from engine.tune import read_events, watch
from engine.tune.folder import Folder, owned, owner, read_config, read_probes, write_probes
from engine.tune.log import Log, event_of, line_of
from engine.types import (
    CheckpointSaved,
    Evaluated,
    Failed,
    Memory,
    Probe,
    Sampled,
    Shrunk,
    Skipped,
    Started,
    Step,
    Stopped,
    TuneConfig,
    TuneEvent,
    config_table,
    tune_config,
)

ROOT = Path(__file__).parents[2]

EVENTS: list[TuneEvent] = [
    Started(0, 10, 40, 4000, 1, 8192, "cpu"),
    Step(1, 10, 2.5, 1e-3, 900.0, 12.5, 0.4),
    Evaluated(1, 2.25),
    Sampled(1, 0, (5, 6, 0), True),
    Memory(1, 1000, 900),
    Shrunk(1, 2),
    Skipped(2),
    CheckpointSaved(2, "best", 512),
    Failed(OutOfMemory(5, 4, "int8")),
    Stopped(10, "finished", "result/state.safetensors", 2.0),
]

# ---------------------------------------------------------------------------------------------- settings


def test_a_config_goes_to_toml_and_back(tmp_path: Path) -> None:
    import tomlkit

    config = TuneConfig("m.pth", method="lora", steps=7, alpha=16.0, recompute=False)
    (tmp_path / "config.toml").write_text(tomlkit.dumps(config_table(config)))
    assert read_config(Folder(tmp_path)) == config


WRONG: dict[str, tuple[str, type[EngineError]]] = {
    "no toml": ("= 3", InvalidRequest),
    "no model": ("steps = 3", InvalidRequest),
    "a model that is no text": ("model = 3", InvalidRequest),
    "an unknown field": ('model = "m"\nlearning = 3', InvalidRequest),
    "a method that is none": ('model = "m"\nmethod = "dora"', InvalidRequest),
    "a method that is no word": ('model = "m"\nmethod = [1]', InvalidRequest),
    "a base that is none": ('model = "m"\nbase = "fp8"', InvalidRequest),
    "full training of few bits": ('model = "m"\nmethod = "full"\nbase = "nf4"', InvalidRequest),
    "steps below one": ('model = "m"\nsteps = 0', InvalidParameter),
    "half a step": ('model = "m"\nsteps = 1.5', InvalidParameter),
    "steps that are a truth": ('model = "m"\nsteps = true', InvalidParameter),
    "a rate that is no number": ('model = "m"\nlearning_rate = nan', InvalidParameter),
    "an endless rate": ('model = "m"\nlearning_rate = inf', InvalidParameter),
    "a rate in words": ('model = "m"\nlearning_rate = "1"', InvalidParameter),
    "a truth that is a number": ('model = "m"\nrecompute = 1', InvalidRequest),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_config_is_refused_with_one_error(case: str, tmp_path: Path) -> None:
    text, kind = WRONG[case]
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(kind):
        read_config(Folder(tmp_path))


def test_a_missing_config(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        read_config(Folder(tmp_path))


def test_every_number_has_its_bounds() -> None:
    """Whoever adds a field says what it may be."""
    for each in fields(TuneConfig):
        kind = type(each.default)
        if kind in {int, float}:
            assert each.metadata["min"] <= each.default <= each.metadata["max"], each.name


def test_rates_come_from_the_method() -> None:
    assert tune_config({"model": "m", "method": "state"}).rate == 1.0
    assert tune_config({"model": "m", "method": "state", "learning_rate": 0.5}).last_rate == 0.05
    assert tune_config({"model": "m", "learning_rate": 0.5, "final_rate": 0.1}).last_rate == 0.1


def test_probes(tmp_path: Path) -> None:
    folder, probes = Folder(tmp_path), (Probe((1, 2), (0,), ((3, 4),)), Probe((5,)))
    assert read_probes(folder, 10) == ()
    write_probes(folder, probes)
    assert read_probes(folder, 10) == probes
    with pytest.raises(InvalidRequest):
        read_probes(folder, 5)  # an id outside the vocabulary


@pytest.mark.parametrize(
    "text", ["{", "{}", "3", "[3]", '[{"prompt": "a"}]', "[" * 9999, '[{"prompt": [true]}]']
)
def test_hostile_probes(text: str, tmp_path: Path) -> None:
    (tmp_path / "probes.json").write_text(text)
    with pytest.raises(InvalidRequest):
        read_probes(Folder(tmp_path), 100)


# ---------------------------------------------------------------------------------------------- the log


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_its_line(event: TuneEvent) -> None:
    found = event_of(line_of(event))
    if isinstance(event, Failed):
        assert isinstance(found, Failed)
        assert (type(found.error), vars(found.error)) == (type(event.error), vars(event.error))
    else:
        assert found == event


@pytest.mark.parametrize(
    "line",
    ["", "{", "3", '{"event": "Popen"}', '{"event": "Step"}',
     '{"event": ["Step"]}', "[" * 9999,
     '{"event": "Failed"}', '{"event": "Failed", "error": ["TuneBusy"], "fields": ["a"]}',
     '{"event": "Evaluated", "step": true, "loss": 1}', '{"event": "Evaluated", "step": 1, "loss": [1]}',
     '{"event": "Evaluated", "step": 1, "loss": Infinity}',
     f'{{"event": "Evaluated", "step": {10**400}, "loss": 1}}',
     '{"event": "Sampled", "step": 1, "index": 0, "tokens": ["a"], "stopped": true}',
     '{"event": "Stopped", "step": 1, "reason": "other", "result": ""}'],
)  # fmt: skip
def test_other_lines_are_no_events(line: str) -> None:
    assert event_of(line) is None


@pytest.mark.parametrize(
    ("error", "values"),
    [
        ("OfTomorrow", ["/a/path", 3]),
        ("Any", []),
        ("dataclass", []),
        ("OutOfMemory", ["much", 3, "smaller"]),
        ("TuneBusy", []),
        ("TuneBusy", 3),
        ("EngineError", []),
        ("x" * 10_000, [[[]]]),
    ],
)
def test_a_failure_that_is_not_known_is_a_failure_all_the_same(error: str, values: Any) -> None:
    """A run of another version, or a damaged line: that it failed is told, by name."""
    found = event_of(json.dumps({"event": "Failed", "error": error, "fields": values}))
    assert isinstance(found, Failed)
    assert isinstance(found.error, Unexpected)
    assert found.error.kind == error[:80]


def test_every_error_survives_its_line() -> None:
    values = {"int": 3, "float": 0.5, "str": "value", "tuple[str, ...]": ("one", "two")}
    kinds = [x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, EngineError)]
    for kind in kinds:
        if kind is EngineError:
            continue
        error = kind(*(values[str(each.type)] for each in fields(kind)))  # pyright: ignore[reportArgumentType]  every error is a dataclass
        found = event_of(line_of(Failed(error)))
        assert isinstance(found, Failed)
        assert (type(found.error), vars(found.error)) == (kind, vars(error))


def test_an_error_of_no_known_kind_is_told(tmp_path: Path) -> None:
    """One that is no dataclass, or with a value that JSON has no form for."""

    class Odd(EngineError):
        pass

    log_of(Folder(tmp_path), [Failed(Odd()), Failed(Unexpected("a", tmp_path))])  # pyright: ignore[reportArgumentType]
    found = read_events(tmp_path)[0]
    assert [type(each) for each in found] == [Failed, Failed]


def test_a_log_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(DiskFailed):
        Log(Folder(tmp_path))


def log_of(folder: Folder, events: list[TuneEvent]) -> None:
    log = Log(folder)
    for event in events:
        log(event)
    log.close()


def test_a_log_goes_on_after_a_cut_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    log_of(folder, EVENTS[:2])
    first, at = read_events(tmp_path)
    assert first == EVENTS[:2]
    with folder.events.open("a") as file:
        file.write('{"event": "St')  # a kill
    assert read_events(tmp_path, at) == ([], at)
    log_of(folder, EVENTS[2:4])
    found, end = read_events(tmp_path, at)
    assert found == EVENTS[2:4]
    assert end == folder.events.stat().st_size


def test_an_old_log_lacks_new_fields() -> None:
    table: dict[str, Any] = json.loads(line_of(EVENTS[1]))
    del table["gradient_norm"]
    assert event_of(json.dumps(table | {"of_tomorrow": 3})) == Step(1, 10, 2.5, 1e-3, 900.0, 12.5)


def test_watching_ends_with_the_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    seen: list[TuneEvent] = []
    with owned(folder):
        watcher = threading.Thread(target=lambda: seen.extend(watch(tmp_path, every=0.01)))
        watcher.start()
        log_of(folder, [*EVENTS[:3], EVENTS[-1]])
        watcher.join(60)
    assert seen == [*EVENTS[:3], EVENTS[-1]]


def test_watching_ends_where_nobody_is(tmp_path: Path) -> None:
    log_of(Folder(tmp_path), EVENTS[:3])
    assert list(watch(tmp_path)) == EVENTS[:3]


# ---------------------------------------------------------------------------------------------- who is at it


def test_one_process_is_at_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tune.folder._BETWEEN", 0.0)
    folder = Folder(tmp_path)
    assert owner(tmp_path) is None
    with owned(folder):
        found = owner(tmp_path)
        assert found is not None
        with pytest.raises(TuneBusy), owned(folder):
            pass
        assert owner(tmp_path) == found
    assert owner(tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no shared locks: looks may see each other")
def test_two_who_look_do_not_see_each_other(tmp_path: Path) -> None:
    """A dead run's files lie there; somebody else is looking at this very moment."""
    import fcntl

    with owned(Folder(tmp_path)):
        left = Folder(tmp_path).owner.read_bytes()
    Folder(tmp_path).owner.write_bytes(left)
    with (tmp_path / "owner.lock").open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert owner(tmp_path) is None
        fcntl.flock(looking, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert owner(tmp_path) is not None


def test_a_look_leaves_nothing_behind(tmp_path: Path) -> None:
    """And takes nothing away: the lock's file of a run that is going on stays that run's."""
    assert owner(tmp_path) is None
    with owned(Folder(tmp_path)):
        before = (tmp_path / "owner.lock").stat().st_ino
        assert owner(tmp_path) is not None
        assert (tmp_path / "owner.lock").stat().st_ino == before
        told = Folder(tmp_path).owner.read_bytes()
    Folder(tmp_path).owner.write_bytes(told)
    assert owner(tmp_path) is None
    assert not (tmp_path / "owner.lock").exists()


def test_a_killed_owner_is_none(tmp_path: Path) -> None:
    """The system lets go of the lock; what the dead one wrote stays and is not believed."""
    killed = (
        "import os; from pathlib import Path; from engine.tune.folder import Folder, owned\n"
        f"with owned(Folder(Path({str(tmp_path)!r}))): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", killed], cwd=ROOT, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert Folder(tmp_path).owner.exists()
    assert owner(tmp_path) is None
    with owned(Folder(tmp_path)):
        assert owner(tmp_path) is not None
