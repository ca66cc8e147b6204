"""What is to be measured of tuning, as far as it runs without a card: rows, tiny runs, bars."""

from __future__ import annotations

import json
import statistics
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from engine.ops.adapted import LORA_B
from engine.ops.cards import Card
from engine.ops.chunk_states.settings import EXACT, FAST
from engine.tune.__main__ import main
from engine.tune.batches import feeds
from engine.types import Memory, Step, Stopped
from engine.weights.load import read_spec
from tests.bench import gpu_tuning, tuning, wkv_gpu
from tests.bench.gpu import timing
from tests.bench.lora import __main__ as beside
from tests.bench.lora import worker
from tests.bench.lora.case import Case
from tests.bench.lora.ours import Ours

if TYPE_CHECKING:
    from pathlib import Path

TINY = Case("tiny", 2, context=40, rank=4)

# what the issue asks of a card, and the row that measures it
BARS = {
    "1.5B state": ("bf16", 1024, {"peak_gb": 3.7}),
    "2.9B state": ("bf16", 1024, {"peak_gb": 6.8}),
    "1.5B lora": ("bf16", 1024, {"peak_gb": 4.0}),
    "2.9B lora": ("bf16", 1024, {"peak_gb": 7.2}),
    "1.5B state nf4": ("nf4", 1024, {"peak_gb": 1.9}),
    "2.9B state nf4": ("nf4", 1024, {"peak_gb": 3.0}),
    "1.5B state speed": ("bf16", 4096, {"tokens_per_second": 0.4 * 94_000}),
    "1.5B lora speed": ("bf16", 4096, {"tokens_per_second": 0.4 * 94_000}),
    "0.4B quick state": ("bf16", 1024, {"minutes": 5}),
    "0.4B quick lora": ("bf16", 1024, {"minutes": 5}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    gpu_tuning._make(folder / "tiny.safetensors", "tiny")
    return gpu_tuning.model(folder, "tiny")


def test_every_bar_has_its_row() -> None:
    for name, (base, context, bars) in BARS.items():
        row = gpu_tuning.ROWS[name]
        assert (row.base, row.context, row.bars) == (base, context, pytest.approx(bars))
    assert {each for each, row in gpu_tuning.ROWS.items() if row.bars} == set(BARS)
    assert {gpu_tuning.ROWS[each].batch for each in BARS if "peak_gb" in BARS[each][2]} == {1}


def test_a_preset_is_the_one_of_the_app(tmp_path: Path) -> None:
    row = gpu_tuning.ROWS["0.4B quick lora"]
    train = gpu_tuning.data(row)
    found = gpu_tuning.config(tmp_path, row, train)
    assert len(train) == 200
    assert (found.method, found.steps, found.batch_size, found.context) == ("lora", 100, 8, 240)


def told(tokens_per_second: float, peak: int) -> list[object]:
    steps = [Step(i, 4, 1.0, 1e-3, tokens_per_second, 0.0) for i in range(1, 5)]
    return [*steps, Memory(4, 10, peak), Stopped(4, "finished", "result")]


def test_a_row_says_which_bar_it_missed() -> None:
    bars = {"peak_gb": 2.0, "tokens_per_second": 100.0, "minutes": 5.0}
    assert gpu_tuning.found(told(101.0, 10**9), bars, 1.0)["missed"] == []
    assert gpu_tuning.found(told(99.0, 3 * 10**9), bars, 6.0)["missed"] == list(bars)
    with pytest.raises(RuntimeError):
        gpu_tuning.found(told(101.0, 10**9)[:-1], bars, 1.0)


def test_a_tiny_run_is_measured(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_tuning, "tuned", lambda folder: main([str(folder)]))
    found = gpu_tuning.run(model.parent, gpu_tuning.ROWS["tiny nf4"])
    assert found["steps"] == 4
    assert found["tokens_per_second"] > 0
    assert found["estimated_gb"] > 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["tiny state", "tiny quick"])
def test_tiny_rows_are_written(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole script, in processes as the app has them."""
    monkeypatch.setattr(sys, "argv", ["gpu_tuning", str(tmp_path / "results"), str(model.parent), name])
    gpu_tuning.main()
    (row,) = map(json.loads, (tmp_path / "results").read_text().splitlines())
    assert (row["row"], row["card"]) == (name, "cpu")
    assert row["minutes"] > 0


# ------------------------------------------------------------------------------------- beside fla and peft


def test_ours_learns_what_all_contenders_are_given(model: Path) -> None:
    """The learnt half of the case's rows; with B at zero the first loss is the model's own."""
    made = Ours(str(model), TINY)
    first = made.step()
    assert all(bool(x.any()) for x in made.trainer.subject.trained.values())  # B was zero
    ids = TINY.ids(512)
    plain = made.trainer.subject.model
    for name in [each for each in plain.tensors if "lora_" in each]:
        del plain.tensors[name]
    plain.release()
    with torch.no_grad():
        logits, _ = plain.forward(ids[:, :-1], plain.zero_state(2), all_logits=True)
    targets = ids[:, 1:].clone()
    targets[:, : TINY.first_learnt - 1] = -100
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert first == pytest.approx(float(expected), rel=2e-3)


def test_steps_are_timed(model: Path) -> None:
    assert worker.seconds(Ours(str(model), TINY), 1) > 0


def test_a_ratio_is_that_of_neighbours_and_the_faster_peer_counts() -> None:
    turns = [
        {"ours": 1.0, "a": 2.0, "b": 1.6},
        {"ours": 2.0, "a": 6.0, "b": 2.8},
        {"ours": 1.0, "a": 1.0, "b": 1.6},
    ]
    found = beside.judged(turns, ["a", "b"])
    assert found["ratio"] == pytest.approx({"a": 2.0, "b": 1.6})
    assert found["worst"] == pytest.approx({"a": 1.0, "b": 1.4})
    assert not found["missed"]
    assert beside.judged([{"ours": 1.0, "a": 1.4}], ["a"])["missed"]
    assert not beside.judged([{"ours": 1.0}], [])["missed"]


@pytest.mark.long
def test_contenders_take_turns_in_processes_of_their_own(model: Path) -> None:
    """Ours in the peer's place; one that cannot begin is left out and named."""
    found = beside.compared(model, TINY, {"again": "ours", "none": "nobody"}, rounds=1, steps=1)
    assert found["ours"]["losses"] == found["again"]["losses"]
    assert found["again"]["tokens_per_second"] > 0
    assert "left out" in found["none"]
    assert set(found["ratio"]) == {"again"}


@pytest.mark.long
def test_a_row_is_written_as_soon_as_it_is_measured(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "PEERS", {})
    monkeypatch.setattr(sys, "argv", ["lora", str(tmp_path / "results"), str(model.parent), "tiny"])
    beside.main()
    (row,) = map(json.loads, (tmp_path / "results").read_text().splitlines())
    assert row["row"] == "tiny"
    assert row["ours"]["tokens_per_second"] > 0


@pytest.mark.long
def test_the_peer_takes_our_tensors_and_adapts_what_we_adapt(model: Path) -> None:
    """Every tensor under its name there, and as many numbers trained, in the form that is measured."""
    pytest.importorskip("peft", reason="a peer that only the long tests install")
    pytest.importorskip("fla.models", reason="flash-linear-attention is not installed: an optional peer")
    from tests.bench.lora.fla_peft import CHUNKED_HEAD, adapted, model_of

    theirs = adapted(model_of(read_spec(model), str(model), CHUNKED_HEAD), TINY)
    trained = [x for x in theirs.parameters() if x.requires_grad]
    ours = Ours(str(model), TINY).trainer.subject.trained.values()
    assert sorted(tuple(x.shape) for x in trained) == sorted(tuple(x.shape) for x in ours)


PROJECTIONS = {
    "att.receptance": "attn.r_proj",
    "att.key": "attn.k_proj",
    "att.value": "attn.v_proj",
    "att.output": "attn.o_proj",
    "ffn.key": "ffn.key",
    "ffn.value": "ffn.value",
}  # ours → fla's


def factor_of(name: str) -> str:
    """Of our "blocks.0.att.key.weight.lora_A", peft's on fla's model."""
    _, layer, mix, matrix, _, factor = name.split(".")
    module = PROJECTIONS[f"{mix}.{matrix}"]
    return f"base_model.model.model.layers.{layer}.{module}.{factor}.default.weight"


@pytest.mark.long
def test_the_peer_learns_what_we_learn(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but its kernels, which need a card: names, copies, adapters, what is learnt, the loss. From the
    same first factors every adapter gets the gradient that ours gets, as far as bf16 tells.
    """
    pytest.importorskip("peft", reason="a peer that only the long tests install")
    pytest.importorskip("fla.models", reason="flash-linear-attention is not installed: an optional peer")
    from tests.bench.lora.fla_peft import PLAIN, Fla
    from tests.engine.plain_fla import use_plain

    use_plain(monkeypatch)
    made, theirs = Ours(str(model), TINY), Fla(str(model), TINY, PLAIN)
    theirs.model.float()  # PyTorch's loss would be rounded to bf16 whole
    subject, rows = made.trainer.subject, made.rows
    named = {name: theirs.model.get_parameter(factor_of(name)) for name in subject.trained}
    with torch.no_grad():
        for name, x in named.items():
            x.copy_(subject.trained[name])
    (piece,) = (each for feed in feeds(rows, TINY.context, at_once=2) for each in feed.pieces())
    loss = subject(piece, None)[0] / piece.weights.sum()
    its = theirs.loss()
    loss.backward()
    its.backward()
    assert float(its.detach()) == pytest.approx(float(loss.detach()), rel=2e-3)
    for name, x in subject.trained.items():
        found, expected = named[name].grad, x.grad
        assert found is not None
        assert expected is not None
        if name.endswith(LORA_B):  # that of A is zero, as B is
            assert float((found - expected).norm() / expected.norm()) < 0.05, name
    assert theirs.step() == pytest.approx(float(its.detach()), rel=1e-6)
    assert theirs.step() < float(its.detach())


# ------------------------------------------------------------------------------------------ the recurrence


def test_the_recurrence_is_measured_in_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")
    once = timing.Times({"fp32": [0.25]})
    monkeypatch.setattr(wkv_gpu, "in_turns", lambda calls, _: once if calls["fp32"]() else None)
    found = wkv_gpu.measure((1, 2, 1), wkv_gpu.both, {"fp32": EXACT})
    assert found["ms"] == {"fp32": 250.0}
    assert found["error"]["fp32"] < 0.01  # of inputs in bf16


@pytest.mark.long
def test_a_tiny_recurrence_takes_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    found = wkv_gpu.ROWS["tiny"]()
    assert min(found["ms"].values()) > 0


def test_what_the_program_takes_is_held_to_the_bar() -> None:
    assert FAST in wkv_gpu.SETTINGS.values()
    ratios = {"32 tokens": [0.8, 0.9, 1.2], "fp32": [1.5, 1.5, 1.5]}
    card = Card(90, 132)
    found = wkv_gpu.judged(ratios, wkv_gpu.both, card)
    assert (found["taken"], found["ratio"]["32 tokens"], found["worst"]["32 tokens"]) == (
        "32 tokens",
        0.9,
        0.8,
    )
    assert found["missed"]
    assert "bar" not in wkv_gpu.judged(ratios, wkv_gpu.forward, card)


def test_the_step_on_a_cpu_is_timed_with_its_recurrence() -> None:
    made = tuning.subject_of(1, 64, "fp32", recompute=False)
    piece = tuning.piece_of(20)
    optimizer = tuning.make_optimizer(dict(made.trained), made.config)
    with tuning.timed() as spent:
        tuning.ours(made, piece, optimizer)
    assert len(spent) == 2
    assert statistics.mean(spent) > 0
    tuning.serial(made, piece, optimizer)
