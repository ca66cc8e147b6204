"""Measuring: every table of a tiny model gives its rows, and the numbers agree with one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.bench import TABLES, Plan, peers, run, stream
from engine.bench.clock import Clock
from engine.bench.rows import (
    BatchRow,
    ContextRow,
    LeftOut,
    Machine,
    PeerRow,
    PrefillRow,
    ReplyRow,
    ResumeRow,
    StartRow,
    StreamRow,
    Subject,
    TierRow,
)
from engine.bench.spelled import Spelled
from engine.bench.stream import share_of_zeros, token_bytes
from engine.bench.subject import loaded
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "ROWS", 1 << 10)
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


def test_a_tokens_bytes_are_told_beside_a_stream(rows: list[Row], weights: str) -> None:
    (found,) = of(rows, StreamRow)
    model = loaded(Plan(weights, threads=1))
    dense, sparse = token_bytes(model, 0.0), token_bytes(model, found.zeros)
    assert found.token_bytes == sparse < dense < model.nbytes + 2 * of(rows, Subject)[0].state_bytes
    assert min(found.bytes_per_second, found.stream_bytes_per_second, found.share) > 0


@pytest.mark.parametrize("kept", [0, 3])
def test_zeros_are_counted_behind_the_relu(kept: int, weights: str) -> None:
    """With keys of all units but a few at zero."""
    model = loaded(Plan(weights, threads=1))
    for name, x in model.tensors.items():
        if name.endswith(".ffn.key.weight"):
            x[kept:] = 0.0
    with torch.inference_mode():
        share = share_of_zeros(model)
    assert 1 - kept / model.spec.n_ffn <= share <= 1


def test_a_stream_that_has_no_room_is_left_out(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "free_bytes", lambda device: 1 << 20)
    *_, row = run(Plan(weights, tables=("stream",), **SMALL))
    assert row == LeftOut("stream", "1 GiB", "OutOfMemory")


# ---------------------------------------------------------------------- other programs

TWIN = peers.Peer("ours", "fp32", "fp32", "engine", "torch", "pth", what=(*peers.DECODE, *peers.START))


def test_what_is_not_installed_is_left_out(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    *_, last = found = list(peers.peers(Plan(weights, threads=1)))
    assert last == LeftOut("peers", "rwkv cpu bf16, bf16", "not installed")
    assert len(found) == len(peers.PEERS["cpu"])


def test_a_ratio_says_how_much_better_ours_is() -> None:
    faster = peers._row(TWIN, "decode", [(20.0, 10.0), (30.0, 10.0), (90.0, 10.0)])
    quicker = peers._row(TWIN, "load", [(1.0, 5.0), (2.0, 5.0), (2.0, 20.0)])
    assert (faster.ours, faster.theirs, faster.ratio) == (30.0, 10.0, 3.0)
    assert (quicker.ours, quicker.theirs, quicker.ratio) == (2.0, 5.0, 5.0)


@pytest.mark.long
def test_another_program_is_measured_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This engine is the other program; the vocabulary has the ids that are fed."""
    spec = tiny.spec(n_layer=2, n_embd=64, head_size=32, vocab_size=1024)
    weights = tiny.save(tmp_path / "tiny.safetensors", tiny.tensors(spec))
    monkeypatch.setattr(peers, "PEERS", {"cpu": (TWIN,)})
    found = of(list(run(Plan(str(weights), tables=("peers",), **SMALL))), PeerRow)
    assert [each.what for each in found] == [*peers.DECODE, *peers.START]
    assert all(0.05 < each.ratio < 20 for each in found)


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
