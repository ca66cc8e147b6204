"""The comparison on a card, as far as it runs on a CPU: weights, turns, results, tiny peers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from tests.bench.gpu import ours, rows, timing
from tests.bench.gpu.peers import Transformer
from tests.bench.gpu.results import Results
from tests.bench.gpu.weights import SIZES, made, model_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model

TINY = SIZES["tiny"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return made(TINY, "cpu")


@pytest.fixture(scope="module")
def model(tensors: dict[str, Tensor]) -> Model:
    return model_of(TINY, tensors, "fp32")


def test_as_many_hidden_units_are_zero_as_was_asked_for(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.models import block

    seen: list[Tensor] = []
    plain = block.ffn_value
    monkeypatch.setattr(block, "ffn_value", lambda hidden, *more: seen.append(hidden) or plain(hidden, *more))
    ids = torch.arange(200)[None] * 7 % TINY.vocabulary
    logits, _ = model.forward(ids, model.zero_state(1))
    zeros = torch.cat([each.flatten() for each in seen]).eq(0).float().mean()
    assert float(zeros) == pytest.approx(TINY.zeros, abs=0.04)
    assert bool(logits.isfinite().all())


def test_what_of_ours_is_measured_runs(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    contenders = {"step": ours.step(model, 2), "loop": ours.loop(model), "prompt": ours.prompt(model, 5)}
    times = timing.in_turns(contenders, CPU)
    assert all(times.median(name) > 0 for name in contenders)
    assert len(times.ratios("step", "loop")) == timing.ROUNDS


def test_all_of_a_long_history_is_read(model: Model) -> None:
    """In parts, and none of it left out."""
    tokens = ours.CHUNK + 76
    _, whole = model.forward(torch.arange(tokens)[None] % TINY.vocabulary, model.zero_state())
    assert ours.fed(model, tokens).max_difference(whole) < 1e-3


def test_a_long_history_is_timed_and_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that says what the peer was fed, and one second for each run of ours."""

    class Peer:
        def __init__(self, *_: object) -> None:
            pass

        def after(self, context: int) -> Callable[[], object]:
            return lambda: context

    def seconds(run: Callable[[], object], *_: object) -> float:
        done = run()
        return float(done) if isinstance(done, int) else 1.0

    counted = iter(range(0, 1000, 10))
    monkeypatch.setattr(rows, "CONTEXTS", (8, 800))
    monkeypatch.setattr(rows, "Transformer", Peer)
    monkeypatch.setattr(rows, "allocated", lambda _: next(counted))
    monkeypatch.setattr(timing, "_seconds", seconds)
    with torch.inference_mode():
        found = rows.context(rows.Bench(CPU), "tiny")
    assert (found["transformer"], found["ours"]) == (100, 1)
    assert found["ours bytes"] == found["transformer bytes"] == [10, 10]


PACKAGE = """
from tests.bench.gpu.peers import Package
from tests.bench.gpu.weights import SIZES, made
one = Package(made(SIZES["tiny"], "cpu"), "cpu fp32").loop()
assert all(0 <= one() < 512 for _ in range(3))
"""


@pytest.mark.long
def test_the_package_takes_the_same_tensors() -> None:
    """In a process of its own: the package looks at the environment while it is imported."""
    done = subprocess.run([sys.executable, "-c", PACKAGE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_the_transformer_forgets_what_it_was_fed() -> None:
    pytest.importorskip("transformers", reason="a peer that only the long tests install")
    step = Transformer(2, 128, 512, CPU).after(64)
    first, second = step(), step()
    assert isinstance(first, torch.Tensor)
    assert isinstance(second, torch.Tensor)
    assert torch.equal(first, second)


def test_a_row_that_is_there_is_kept_and_one_cut_short_is_not(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    Results(path).add("a", {"ratio": 1.5})
    with path.open("a") as file:
        file.write('{"row": "b", "rat')
    again = Results(path)
    assert set(again.rows) == {"a"}
    again.add("b", {"ratio": 2.0})
    assert {name: each["ratio"] for name, each in Results(path).rows.items()} == {"a": 1.5, "b": 2.0}


def test_bytes_of_a_token_leave_out_what_is_not_read(model: Model) -> None:
    with_zeros, without = (rows.token_bytes(model, zeros) for zeros in (0.86, 0.0))
    hidden = TINY.layers * 4 * TINY.width * TINY.width * 4
    assert without - with_zeros == pytest.approx(0.86 * hidden)
    assert without < model.nbytes
