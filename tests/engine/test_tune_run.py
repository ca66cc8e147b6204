"""Whole runs in their folders: killed, stopped, short of memory, in several processes, with wrong numbers."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.errors import (
    EngineError,
    InvalidRequest,
    ModelNotFound,
    NotFinite,
    OutOfMemory,
    TuneBusy,
    TuneDataInvalid,
)
from engine.tune import checkpoint, read_events
from engine.tune.__main__ import main
from engine.tune.folder import Folder, ask_to_stop, owned, read_config, write_probes
from engine.tune.group import Alone
from engine.tune.loop import Trainer
from engine.tune.methods import METHODS
from engine.tune.run import events as events_of
from engine.tune.run import probe, run
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
)
from engine.weights.tuned import read_tuned_state
from tests.engine import tiny, tune_child
from tests.engine.tune_child import SECONDS, exit_code
from tests.engine.tuning import SPEC, config, losses, rows_of, run_folder, subject, trainer
from tests.run_files import check_data_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.types import Row, TuneEvent

ROOT = Path(__file__).parents[2]
TRAIN, VALID = rows_of(0, 40), rows_of(500, 6)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("model") / "m.safetensors", SPEC)


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip


def told(folder: Folder) -> list[TuneEvent]:
    return read_events(folder.path)[0]


def failure(folder: Folder) -> EngineError:
    assert not run(folder.path)
    event = told(folder)[-1]
    assert isinstance(event, Failed), event
    return event.error


# ----------------------------------------------------------------------------------- from end to end


def test_a_run_tells_everything_and_leaves_its_result(model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", model, TRAIN, VALID, steps=6, evaluate_every=3, sample_tokens=5)
    write_probes(folder, (Probe((0, 5, 6), stops=()), Probe((3,), stops=tuple(range(24)))))
    assert run(folder.path)
    events = told(folder)
    started, memory, ended = events[0], events[-2], events[-1]
    assert isinstance(started, Started)
    assert (started.step, started.steps, started.rows, started.trained) == (0, 6, 40, 2 * 2 * 16 * 16)
    assert isinstance(memory, Memory)
    assert memory.estimated > 0
    assert isinstance(ended, Stopped)
    assert (ended.step, ended.reason, ended.result) == (6, "finished", "result/state.safetensors")
    assert [e.step for e in events if isinstance(e, Evaluated)] == [0, 3, 6]
    assert ended.best == min(e.loss for e in events if isinstance(e, Evaluated))
    replies = [e for e in events if isinstance(e, Sampled)]
    assert [(e.step, e.index, len(e.tokens), e.stopped) for e in replies[:2]] == [
        (0, 0, 5, False),
        (0, 1, 0, True),
    ]
    assert len(replies) == 6
    assert set(read_tuned_state(folder.path / ended.result, SPEC)) == {0, 1}
    assert not folder.owner.exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_runs_folder_holds_no_code_and_no_pickle(method: str, model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", model, TRAIN, VALID, method=method, steps=2, sample_tokens=1)
    write_probes(folder, (Probe((0, 5, 6), stops=()),))
    assert run(folder.path)
    files = check_data_alone(folder.path)
    assert {"config.toml", "events.jsonl", "probes.json"} < set(files)
    result = [each for each in files if each.startswith("result/")]
    assert result
    assert all(each.endswith((".safetensors", ".json")) for each in result)
    assert [each for each in files if each.startswith("checkpoints/")]


def test_it_stops_where_it_learns_no_more_and_keeps_the_best(model: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 500, "learning_rate": 5.0, "evaluate_every": 1, "patience": 3}
    folder = run_folder(tmp_path / "run", model, TRAIN, VALID, **settings)
    assert run(folder.path)
    ended = told(folder)[-1]
    assert isinstance(ended, Stopped)
    assert ended.reason == "early"
    measured = [e.loss for e in told(folder) if isinstance(e, Evaluated)]
    assert min(measured) not in measured[-3:]
    layers = read_tuned_state(folder.result / "state.safetensors", SPEC)
    best, last = (checkpoint.load(folder.checkpoints / f"{name}.safetensors") for name in ("best", "last"))
    assert best is not None
    assert last is not None
    name = "blocks.1.att.time_state"
    assert torch.equal(layers[1], best.values[name])
    assert not torch.equal(layers[1], last.values[name])


# ----------------------------------------------------------------------------------- killed, stopped


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("method", ["state", "pissa"])
def test_a_killed_run_goes_on_as_if_nothing_had_been(method: str, model: Path, tmp_path: Path) -> None:
    """A real SIGKILL within a step; the same losses afterwards, to the last bit, and the same result."""
    settings: dict[str, Any] = {
        "method": method, "steps": 9, "evaluate_every": 3, "checkpoint_every": 2, "threads": 1,
        "learning_rate": 1e-2,
    }  # fmt: skip
    whole = run_folder(tmp_path / "whole", model, TRAIN, VALID, **settings)
    killed = run_folder(tmp_path / "killed", model, TRAIN, VALID, **settings)
    assert run(whole.path)
    assert exit_code(tune_child.killed, str(killed.path), 6) == -signal.SIGKILL
    before = [e for e in told(killed) if isinstance(e, Step)]
    assert [e.step for e in before] == [1, 2, 3, 4, 5]
    assert run(killed.path)
    events = told(killed)
    again = max(i for i, e in enumerate(events) if isinstance(e, Started))
    started = events[again]
    assert isinstance(started, Started)
    assert started.step == 4
    after = losses(events[again:])
    expected = losses(told(whole))
    assert [e.loss for e in before] == expected[:5]
    assert after == expected[4:]
    measured = [[e.loss for e in told(x) if isinstance(e, Evaluated) and e.step > 3] for x in (whole, killed)]
    assert measured[0] == measured[1]
    for each in whole.result.iterdir():
        assert each.read_bytes() == (killed.result / each.name).read_bytes(), each.name


def test_a_run_that_is_asked_to_stop_goes_on_later(model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", model, TRAIN, VALID, steps=8, evaluate_every=2)
    made = list(asked_at(folder, 3, lambda: ask_to_stop(folder.path)))
    assert isinstance(made[-1], Stopped)
    assert (made[-1].step, made[-1].reason) == (3, "asked")
    assert folder.result.is_dir()
    assert run(folder.path)  # the file is taken away first
    ended = told(folder)[-1]
    assert isinstance(ended, Stopped)
    assert (ended.step, ended.reason) == (8, "finished")


def asked_at(folder: Folder, step: int, ask: Callable[[], object]) -> Iterator[TuneEvent]:
    """The events of a run here; after that step it is asked to stop."""
    for event in events_of(folder, read_config(folder), Alone()):
        yield event
        if isinstance(event, Step) and event.step == step:
            ask()


def test_a_signal_stops_it_with_a_checkpoint(model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", model, TRAIN, steps=1000)
    *_, event = asked_at(folder, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert isinstance(event, Stopped)
    assert event.reason == "asked"
    assert (folder.checkpoints / "last.safetensors").is_file()


def test_nobody_else_is_let_in(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tune.folder._BETWEEN", 0.0)
    folder = run_folder(tmp_path / "run", model, TRAIN)
    with owned(folder), pytest.raises(TuneBusy):
        run(folder.path)
    assert told(folder) == []


# ----------------------------------------------------------------------------------------- the child


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells which files are open")
def test_the_child_opens_no_socket(model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", model, TRAIN, VALID, steps=2)
    assert exit_code(tune_child.without_sockets, str(folder.path)) == 0
    assert isinstance(told(folder)[-1], Stopped)


def test_exit_codes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """0: `test_the_child_opens_no_socket`. Whatever happens, nothing is printed."""
    assert main([]) == main(["--other"]) == main(["one", "two"]) == 2
    assert main([str(tmp_path / "nowhere")]) == 2
    (tmp_path / "config.toml").write_text('model = "gone.pth"')
    assert main([str(tmp_path)]) == 1
    assert capfd.readouterr() == ("", "")
    assert isinstance(told(Folder(tmp_path))[-1], Failed)


@pytest.mark.long
def test_a_process_says_how_it_ended_by_its_exit_code_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "gone.pth"')
    done = run_python("-m", "engine.tune", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_probe_measures_and_leaves_the_run_as_it_was(model: Path, tmp_path: Path) -> None:
    import json

    folder = run_folder(tmp_path / "run", model, TRAIN, steps=50)
    probe(folder.path)
    found = json.loads((folder.path / "probe.json").read_text())
    assert found["tokens_per_second"] > 0
    assert not folder.events.exists()
    assert not folder.checkpoints.exists()


def test_a_probe_tells_after_one_row(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole step of a large model may take minutes."""
    folder = run_folder(tmp_path / "run", model, TRAIN, steps=50)
    told: list[int] = []
    steps = Trainer._step

    def step(self: Trainer, rows: list[Row]) -> Iterator[TuneEvent]:
        assert (folder.path / "probe.json").exists() == bool(told)
        told.append(len(rows))
        return steps(self, rows)

    monkeypatch.setattr(Trainer, "_step", step)
    probe(folder.path)
    assert told == [1, 4, 4]


# --------------------------------------------------------------------------------- several processes


@pytest.mark.parametrize(
    "method",
    ["state", pytest.param("lora", marks=pytest.mark.long), pytest.param("full", marks=pytest.mark.long)],
)
def test_two_processes_are_one_with_all_rows(method: str, model: Path, tmp_path: Path) -> None:
    """Under torchrun, with gloo: rows of unlike lengths, some of them longer than the context."""
    train: list[Row] = [
        ([*ids, *([3] * (i % 7) * 5)], [*weights, *([1.0] * (i % 7) * 5)])
        for i, (ids, weights) in enumerate(TRAIN)
    ]
    settings: dict[str, Any] = {
        "method": method,
        "steps": 5,
        "evaluate_every": 5,
        "context": 16,
        "learning_rate": 1e-2,
    }
    alone = run_folder(tmp_path / "alone", model, train, VALID, **settings)
    together = run_folder(tmp_path / "together", model, train, VALID, **settings)
    assert run(alone.path)
    done = run_python(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "engine.tune", str(together.path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    events = told(together)
    assert isinstance(events[0], Started)
    assert events[0].processes == 2
    assert losses(events) == pytest.approx(losses(told(alone)), rel=1e-5)
    measured = [[e.loss for e in told(x) if isinstance(e, Evaluated)] for x in (alone, together)]
    assert measured[1] == pytest.approx(measured[0], rel=1e-5)
    assert isinstance(events[-1], Stopped)


# ------------------------------------------------------------------------------ when things go wrong


def test_short_memory_makes_smaller_batches_that_learn_the_same(tmp_path: Path) -> None:
    """The allocator refuses more than two rows at once: halved until they fit, with the same losses."""
    plain = losses(trainer(subject(batch_size=8, micro_batch=8, steps=4)).run())
    made = trainer(subject(batch_size=8, micro_batch=8, steps=4), folder=tmp_path)
    forward = made.subject.forward

    def refusing(piece: Any, state: Any) -> Any:
        if piece.inputs.shape[0] > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(piece, state)

    made.subject.forward = refusing
    events = list(made.run())
    assert [e.micro_batch for e in events if isinstance(e, Shrunk)] == [4, 2]
    assert losses(events) == pytest.approx(plain, rel=1e-5)
    assert trainer(subject(batch_size=8, micro_batch=8), folder=tmp_path).at.at_once == 2


def test_memory_that_is_short_for_one_row_is_told() -> None:
    made = trainer(subject(batch_size=2))

    def refusing(piece: Any, state: Any) -> Any:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    made.subject.forward = refusing
    with pytest.raises(OutOfMemory) as error:
        list(made.run())
    assert error.value.needed == 2 << 30


def test_other_errors_are_not_taken_for_short_memory() -> None:
    made = trainer(subject())

    def broken(piece: Any, state: Any) -> Any:
        raise RuntimeError("shapes")

    made.subject.forward = broken
    with pytest.raises(RuntimeError, match="shapes"):
        list(made.run())


def spoilt(made: Any, steps: set[int]) -> Any:
    forward, calls = made.subject.forward, itertools.count(1)

    def sometimes(piece: Any, state: Any) -> Any:
        loss, after = forward(piece, state)
        return (loss * float("nan") if next(calls) in steps else loss), after

    made.subject.forward = sometimes
    return made


def test_a_step_without_numbers_is_skipped_and_teaches_nothing() -> None:
    events = list(spoilt(trainer(subject(steps=6, micro_batch=4)), {3}).run())
    assert [type(e) for e in events] == [Step, Step, Skipped, Step, Step, Step]
    made = spoilt(trainer(subject(steps=3, micro_batch=4)), {1, 2, 3})
    before = {name: x.detach().clone() for name, x in made.subject.trained.items()}
    list(made.run())
    assert all(torch.equal(x, made.subject.trained[name]) for name, x in before.items())


def test_steps_without_numbers_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(NotFinite):
        list(spoilt(trainer(subject(steps=50, micro_batch=4)), set(range(3, 50))).run())


def test_a_loss_of_zero_ends_the_run(tmp_path: Path) -> None:
    made = trainer(subject(steps=50))
    forward = made.subject.forward

    def solved(piece: Any, state: Any) -> Any:
        loss, after = forward(piece, state)
        return 0.0 * loss, after

    made.subject.forward = solved
    found = losses(made.run())
    assert len(found) == 3
    assert made.reason == "no-loss"


WRONG: dict[str, tuple[dict[str, Any], type[EngineError]]] = {
    "nothing to learn": ({"train": [([1, 2, 3], [1.0, 0.0, 0.0])]}, TuneDataInvalid),
    "ids of another tokenizer": ({"train": [([1, 60000], [1.0, 1.0])]}, TuneDataInvalid),
    "validation of another tokenizer": ({"valid": [([1, 60000], [1.0, 1.0])]}, TuneDataInvalid),
    "no model": ({"model": "/nowhere/m.pth"}, ModelNotFound),
    "no such card": ({"device": "cuda:99"}, EngineError),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_tuned_is_told_in_one_error(case: str, model: Path, tmp_path: Path) -> None:
    changes, kind = WRONG[case]
    settings = {"train": TRAIN, "valid": VALID, "model": model, **changes}
    folder = run_folder(
        tmp_path, settings.pop("model"), settings.pop("train"), settings.pop("valid"), **settings
    )
    assert isinstance(failure(folder), kind)


def test_a_damaged_folder_is_told_in_one_error(model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, model, TRAIN)
    folder.probes.write_text("{")
    assert isinstance(failure(folder), InvalidRequest)
    folder.probes.unlink()
    folder.train.write_bytes(b"rows")
    assert isinstance(failure(folder), TuneDataInvalid)
    folder.train.unlink()
    assert isinstance(failure(folder), EngineError)


def test_checkpoints_come_when_due(model: Path, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, model, TRAIN, VALID, steps=5, checkpoint_every=2)
    assert run(folder.path)
    found = [(e.step, e.which) for e in told(folder) if isinstance(e, CheckpointSaved) and e.which == "last"]
    assert found == [(2, "last"), (4, "last"), (5, "last")]
    assert {each.name for each in folder.checkpoints.iterdir()} <= {"last.safetensors", "best.safetensors"}
    assert config().checkpoint_every == 0
