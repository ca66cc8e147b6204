"""Measuring: every table of a tiny model gives its rows, and the numbers agree with one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.bench import TABLES, Plan, run
from engine.bench.clock import Clock
from engine.bench.rows import (
    BatchRow,
    ContextRow,
    LeftOut,
    Machine,
    PrefillRow,
    ReplyRow,
    ResumeRow,
    StartRow,
    Subject,
    TierRow,
)
from engine.bench.spelled import Spelled
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bench import Row

# small enough for a moment; `feeding_seconds` 0: no context is fed
SMALL = {
    "contexts": (8, 40),
    "prompts": (4, 9),
    "batches": (1, 3),
    "seconds": 0.01,
    "threads": 1,
    "tiers": ("fp32", "bf16", "nothing"),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec = tiny.spec(n_layer=2, n_embd=64, head_size=32)
    return str(tiny.save(tmp_path_factory.mktemp("bench") / "tiny.safetensors", tiny.tensors(spec)))


@pytest.fixture(scope="module")
def rows(weights: str) -> list[Row]:
    wanted = tuple(each for each in TABLES if each not in ("start", "peers"))
    before = torch.get_num_threads()
    found = list(run(Plan(weights, tables=wanted, **SMALL)))
    assert torch.get_num_threads() == before
    assert not torch.is_inference_mode_enabled()
    return found


def of(rows: list[Row], kind: type) -> list:
    return [each for each in rows if isinstance(each, kind)]


def test_every_table_gives_its_rows(rows: list[Row]) -> None:
    assert [type(each) for each in rows[:2]] == [Machine, Subject]
    assert [each.context for each in of(rows, ContextRow)] == [8, 40]
    assert [each.tokens for each in of(rows, PrefillRow)] == [4, 9]
    assert [each.batch for each in of(rows, BatchRow)] == [1, 3]
    assert [each.tier for each in of(rows, TierRow)] == ["fp32", "bf16"]
    assert len(of(rows, ReplyRow)) == len(of(rows, ResumeRow)) == 1


def test_numbers_agree_with_one_another(rows: list[Row]) -> None:
    for each in of(rows, BatchRow):
        assert each.tokens_per_second == pytest.approx(each.batch / each.step_seconds)
    for each in of(rows, PrefillRow):
        assert each.tokens_per_second == pytest.approx(each.tokens / each.seconds)
    (resumed,) = of(rows, ResumeRow)
    assert resumed.nbytes > of(rows, Subject)[0].state_bytes
    assert resumed.floor_seconds > 0
    full, half = of(rows, TierRow)
    assert half.weights_bytes < full.weights_bytes


def test_what_could_not_be_measured_is_said(rows: list[Row]) -> None:
    assert of(rows, LeftOut) == [LeftOut("tiers", "nothing", "InvalidRequest")]


def test_contexts_are_fed_as_long_as_there_is_time(rows: list[Row], weights: str) -> None:
    assert [each.fed for each in of(rows, ContextRow)] == [8, 40]
    unfed = run(Plan(weights, tables=("context",), **SMALL, feeding_seconds=0.0))
    assert [each.fed for each in of(list(unfed), ContextRow)] == [0, 0]


def test_a_start_is_measured_in_a_process_of_its_own(weights: str) -> None:
    *_, row = run(Plan(weights, tables=("start",), **SMALL))
    assert isinstance(row, StartRow)
    assert 0 < row.torch_seconds < row.loaded_seconds < row.token_seconds < 60


def test_a_start_that_fails_says_why(tmp_path: Path, weights: str) -> None:
    from engine.bench.start import start

    assert start(Plan(str(tmp_path / "none.pth"))) == LeftOut(
        "start", str(tmp_path / "none.pth"), "ModelNotFound"
    )


def test_the_clock_counts_work_not_itself() -> None:
    calls: list[int] = []
    seconds = Clock(torch.device("cpu")).median(lambda: calls.append(1), 0.01)
    assert len(calls) > 1000
    assert seconds < 1e-4


def test_the_replys_tokenizer_spells_every_id() -> None:
    spelled = Spelled(100)
    assert spelled.decode_bytes((1, 99)) == b" 1 99"
    assert max(spelled.encode("äß")) < 100
