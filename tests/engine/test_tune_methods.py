"""Every method: what it trains is what the engine loads, in the files of other programs, on every base."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Bf16Missing, InvalidRequest, UnsupportedFormat
from engine.models import ARCHITECTURES
from engine.models.prepare import prepare
from engine.nf4 import GROUP, LEVELS, is_nf4, pack_nf4, unpack_nf4, unpack_nf4_naive
from engine.ops.adapted import LORA_A, LORA_B, MISS, adapted, block_sums
from engine.ops.adapted.naive import adapted_naive
from engine.ops.linear.frozen import linear_frozen, written_out
from engine.quant import pack4, pack8
from engine.tune.batches import feeds
from engine.tune.methods.pissa import factors
from engine.tune.sizes import adapted_shapes, trained_count, weight_bytes
from engine.tune.subject import Subject, open_subject
from engine.weights.adapt import Change
from engine.weights.adapters import check_adapter, merged, read_adapter
from engine.weights.export_pissa import write_pissa
from engine.weights.export_tuned import convert_tuned_state
from engine.weights.tuned import begun_from, read_tuned_state
from tests.engine import tiny
from tests.engine.tuning import config, losses, rows_of, styled_rows, subject, trainer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import ModelSpec

ADAPTERS = ("lora", "pissa", "miss")
WITH_STATE = ("rwkv5.0", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7")


def spec_of(arch: str = "rwkv7", **sizes: Any) -> ModelSpec:
    return tiny.spec(arch=arch, vocab_size=24, **sizes)


def saved(folder: Path, spec: ModelSpec) -> Path:
    return tiny.checkpoint(folder / "model.safetensors", spec)


def tuned(path: Path, method: str, steps: int = 8, **changes: Any) -> Subject:
    """After some steps on the tiny task."""
    settings = {"learning_rate": 2e-2, **changes}
    made = open_subject(config(str(path), method=method, steps=steps, **settings))
    found = losses(trainer(made, styled_rows).run())
    assert len(found) == steps
    return made


def loss_of(model: Model, state: Any = None) -> float:
    """Over rows that nobody has learnt from, by the model's own logits."""
    (feed,) = feeds(list(itertools.islice(styled_rows(900), 16)), 64, at_once=16)
    (piece,) = feed.pieces()
    with torch.no_grad():
        start = state.select([0] * 16) if state is not None else model.zero_state(16)
        logits, _ = model.forward(piece.inputs, start, all_logits=True)
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), piece.targets.flatten(), reduction="none")
    return float((each * piece.weights.flatten()).sum() / piece.weights.sum())


# -------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("arch", WITH_STATE)
def test_a_tuned_state_lowers_the_loss_and_its_transpose_does_not(arch: str, tmp_path: Path) -> None:
    """Through the file, and through RWKV-PEFT's made of it, loaded as every tuned state is: swapped axes are
    an error nowhere else.
    """
    spec = spec_of(arch)
    made = tuned(saved(tmp_path, spec), "state", steps=40, learning_rate=0.2)
    result = tmp_path / "result" / made.write(tmp_path / "result")
    layers = read_tuned_state(result, spec)
    assert all(torch.equal(x, made.trained[f"blocks.{i}.att.time_state"]) for i, x in layers.items())
    convert_tuned_state(result, tmp_path / "state.pth", "pth")
    stored = torch.load(tmp_path / "state.pth", weights_only=True)
    assert {name: tuple(x.shape) for name, x in stored.items()} == {
        f"blocks.{i}.att.time_state": (2, 16, 16) for i in range(2)
    }
    assert all(torch.equal(stored[name], x.bfloat16()) for name, x in made.trained.items())
    layers = read_tuned_state(tmp_path / "state.pth", spec)
    model = tiny.model(spec)
    zero = model.zero_state(1)
    turned = {layer: x.mT.contiguous() for layer, x in layers.items()}
    before, after = loss_of(model), loss_of(model, begun_from(layers, zero))
    wrong = loss_of(model, begun_from(turned, zero))
    print(f"{arch}: {before:.3f} without, {after:.3f} with, {wrong:.3f} turned")
    assert after < before - 0.5
    assert wrong > after + 0.5


def test_rwkv4_has_no_state_to_tune(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        open_subject(config(str(saved(tmp_path, spec_of("rwkv4")))))


def test_a_merged_state_is_where_tuning_begins(tmp_path: Path) -> None:
    """State tuning goes on from it, adapters learn on top of it."""
    spec = spec_of()
    state = {f"blocks.{i}.att.time_state": torch.randn(2, 16, 16) for i in range(2)}
    path = tiny.save(tmp_path / "merged.pth", tiny.tensors(spec) | state)
    first = open_subject(config(str(path)))
    assert all(torch.equal(first.trained[name], x) for name, x in state.items())
    expected = loss_of(first.model, first.begin(1))
    adapter = open_subject(config(str(path), method="lora"))
    assert loss_of(adapter.model, adapter.begin(1)) == pytest.approx(expected, rel=1e-6)
    assert loss_of(adapter.model) != pytest.approx(expected, rel=1e-3)


# -------------------------------------------------------------------------------------------------- adapters


def merged_model(path: Path, spec: ModelSpec, adapter: Path) -> Model:
    """The model that the merged file would be."""
    read = read_adapter(adapter)
    check_adapter(read, spec)
    tensors = {name: merged(name, x, read) for name, x in tiny.plain_tensors(spec).items()}
    return ARCHITECTURES[spec.arch](spec, prepare(tensors, spec, torch.float32))


@pytest.mark.parametrize("method", ADAPTERS)
@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_the_merged_model_is_the_adapter(method: str, arch: str, tmp_path: Path) -> None:
    """Within 1e-4; a rank that divides no side, so that every formula's rest is there."""
    spec = spec_of(arch)
    path = saved(tmp_path, spec)
    made = tuned(path, method, rank=6)
    result = (tmp_path / "result" / made.write(tmp_path / "result")).resolve()
    assert set(read_adapter(result).parts) == set(adapted_shapes(spec))
    tokens = tiny.ids(spec, 20, 2)
    made.put()
    with torch.no_grad():
        trained, _ = made.model.forward(tokens, made.model.zero_state(2), all_logits=True)
        model = merged_model(path, spec, result)
        found, _ = model.forward(tokens, model.zero_state(2), all_logits=True)
        plain, _ = tiny.model(spec).forward(tokens, model.zero_state(2), all_logits=True)
    torch.testing.assert_close(found, trained, rtol=1e-4, atol=1e-4)
    assert float((plain - trained).abs().max()) > 0.02


@pytest.mark.parametrize("method", ADAPTERS)
@pytest.mark.parametrize("base", ["fp32", "bf16"])
def test_nothing_changes_before_the_first_step(method: str, base: str, tmp_path: Path) -> None:
    spec = spec_of()
    path = saved(tmp_path, spec)
    plain = open_subject(config(str(path), base=base))
    made = open_subject(config(str(path), method=method, base=base))
    made.put()
    bound = 1e-5 if base == "fp32" else 0.05
    assert loss_of(made.model) == pytest.approx(loss_of(plain.model), rel=bound)


def test_files_are_those_of_other_programs(tmp_path: Path) -> None:
    path = saved(tmp_path, spec_of())
    lora, miss = tuned(path, "lora", 1), tuned(path, "miss", 1)
    assert lora.write(tmp_path / "lora") == miss.write(tmp_path / "miss") == "."
    tensors = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert tensors["base_model.model.blocks.0.ffn.key.lora_A.weight"].shape == (4, 32)
    assert tensors["base_model.model.blocks.0.ffn.key.lora_B.weight"].shape == (128, 4)
    written = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert (written["peft_type"], written["r"], written["lora_alpha"]) == ("LORA", 4, 8.0)
    tensors = load_file(tmp_path / "miss" / "adapter_model.safetensors")
    assert tensors["base_model.model.blocks.1.att.key.miss_block"].shape == (4, 32)


def test_a_pissa_is_given_in_the_two_files_of_rwkv_peft(tmp_path: Path) -> None:
    """The factors and those of the beginning: read again, it is the same adapter."""
    made = tuned(saved(tmp_path, spec_of()), "pissa", 1)
    result = tmp_path / "result" / made.write(tmp_path / "result")
    (tmp_path / "given").mkdir()
    write_pissa(result, tmp_path / "given")
    first, last = (
        torch.load(tmp_path / "given" / file, weights_only=True) for file in ("init_pissa.pth", "pissa.pth")
    )
    assert {name.rpartition(".")[2] for name in first} == {"init_lora_A", "init_lora_B"}
    assert last["blocks.0.ffn.key.lora_A"].shape == (4, 32)
    assert len(first) == len(last) == len(made.trained)
    given = read_adapter(tmp_path / "given" / "pissa.pth")
    assert Change(given).id() == Change(read_adapter(result)).id()
    with pytest.raises(UnsupportedFormat):
        write_pissa(tmp_path / "given" / "init_pissa.pth", tmp_path / "given")


@pytest.mark.parametrize("method", ["lora", "miss"])
def test_peft_merges_what_was_trained(method: str, tmp_path: Path) -> None:
    peft = pytest.importorskip(
        "peft", reason="peft comes with make test-long; the formulas are tested above too"
    )
    from tests.engine.test_adapters import Model as Holder

    spec = spec_of()
    path = saved(tmp_path, spec)
    made = tuned(path, method)
    made.write(tmp_path / "result")
    model = peft.PeftModel.from_pretrained(Holder(tiny.plain_tensors(spec)), tmp_path / "result")
    theirs = model.merge_and_unload().state_dict()
    read = read_adapter(tmp_path / "result")
    for name, x in tiny.plain_tensors(spec).items():
        if name in read.parts:
            torch.testing.assert_close(theirs[name], merged(name, x, read), rtol=1e-5, atol=1e-5)


def test_a_rank_above_a_matrix_is_cut_down(tmp_path: Path) -> None:
    spec = spec_of()
    path = saved(tmp_path, spec)
    for method in ADAPTERS:
        made = tuned(path, method, 2, rank=500)
        result = (tmp_path / method / made.write(tmp_path / method)).resolve()
        check_adapter(read_adapter(result), spec)
        model = merged_model(path, spec, result)
        made.put()
        assert loss_of(model) == pytest.approx(loss_of(made.model), rel=1e-4)


@pytest.mark.parametrize("method", [*ADAPTERS, "state", "full"])
def test_the_count_of_what_is_trained(method: str) -> None:
    spec = spec_of()
    made = subject(spec, method, rank=6) if method not in {"pissa", "full"} else None
    if made:
        assert sum(x.numel() for x in made.trained.values()) == trained_count(spec, method, 6)
    else:
        assert trained_count(spec, "pissa", 6) == trained_count(spec, "lora", 6)


@pytest.mark.parametrize("kind", ["lora", "miss", "miss with a rest"])
def test_an_adapter_beside_a_weight_is_one_in_it(kind: str) -> None:
    rng = torch.Generator().manual_seed(1)
    w = {"w": torch.randn(20, 12, generator=rng, dtype=torch.float64)}
    if kind == "lora":
        w |= {"w" + LORA_A: torch.randn(3, 12, generator=rng, dtype=torch.float64)}
        w |= {"w" + LORA_B: torch.randn(20, 3, generator=rng, dtype=torch.float64)}
    else:
        w["w" + MISS] = torch.randn(4 if kind == "miss" else 5, 20, generator=rng, dtype=torch.float64)
    x = torch.randn(2, 7, 12, generator=rng, dtype=torch.float64)
    found = adapted(torch.nn.functional.linear(x, w["w"]), x, w, "w")
    torch.testing.assert_close(found, adapted_naive(x, w, "w"), rtol=1e-12, atol=1e-12)


def test_block_sums() -> None:
    x = torch.arange(1.0, 8.0)
    assert block_sums(x, 3).tolist() == [1 + 4 + 7, 2 + 5, 3 + 6]
    assert block_sums(x, 7).tolist() == x.tolist()


@pytest.mark.parametrize(("out", "width"), [(40, 24), (1100, 1060)])
def test_the_first_factors_are_the_largest_directions(out: int, width: int) -> None:
    """Exactly for small matrices; by random projections the next best are told from noise."""
    rng = torch.Generator().manual_seed(2)
    u = torch.linalg.qr(torch.randn(out, 24, generator=rng)).Q
    v = torch.linalg.qr(torch.randn(width, 24, generator=rng)).Q
    values = torch.tensor([2.0 ** (-i / 2) for i in range(24)])
    w = u * values @ v.mT
    a, b = factors(w, 5, "w", 0)
    assert (a.shape, b.shape) == ((5, width), (out, 5))
    rest = torch.linalg.matrix_norm(w - b @ a, 2)
    assert float(rest) == pytest.approx(float(values[5]), rel=1e-3)
    torch.testing.assert_close(a.norm(dim=1), b.norm(dim=0), rtol=1e-3, atol=1e-4)


# -------------------------------------------------------------------------------------------------- bases


def test_nf4_is_its_twin() -> None:
    rows = torch.randn(6, 2 * GROUP, generator=torch.Generator().manual_seed(0))
    rows[2, :GROUP] = 0
    values, scale = pack_nf4(rows)
    assert (values.shape, values.dtype, scale.shape, scale.dtype) == (
        (6, GROUP),
        torch.uint8,
        (6, 2),
        torch.bfloat16,
    )
    expected = unpack_nf4_naive(values, scale)
    torch.testing.assert_close(unpack_nf4(values, scale, torch.float32), expected, rtol=0, atol=0)
    torch.testing.assert_close(unpack_nf4(values, scale, torch.bfloat16), expected.bfloat16(), rtol=0, atol=0)
    assert (expected[2, :GROUP] == 0).all()


def test_nf4_takes_the_nearest_level() -> None:
    """No other level of the same scale is nearer; and the error is what the levels give a normal matrix."""
    rows = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    values, scale = pack_nf4(rows)
    found = unpack_nf4(values, scale, torch.float32)
    wide = scale.float().repeat_interleave(GROUP, 1)
    best = (torch.tensor(LEVELS) * wide[..., None] - rows[..., None]).abs().min(-1).values
    torch.testing.assert_close((found - rows).abs(), best, rtol=1e-4, atol=1e-5)
    assert 0.05 < float((found - rows).norm() / rows.norm()) < 0.11


FORMS = {
    "nf4": pack_nf4,
    "int8": lambda x: pack8(x, torch.float32),
    "int4": lambda x: pack4(x, torch.float32),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_frozen_product_and_its_gradient(form: str, turned: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    values, scale = FORMS[form](torch.randn(128, 64, generator=rng))
    assert is_nf4(values, scale) == (form == "nf4")
    weight = written_out(values, scale, torch.float32)
    x = torch.randn(3, 128 if turned else 64, generator=rng, requires_grad=True)
    plain = torch.nn.functional.linear(x, weight.mT if turned else weight)
    found = linear_frozen(x, values, scale, turned=turned)
    torch.testing.assert_close(found, plain)
    dy = torch.randn(found.shape, generator=rng)
    torch.testing.assert_close(
        torch.autograd.grad(found, x, dy)[0], torch.autograd.grad(plain, x, dy)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("method", ["state", "lora", "pissa", "miss"])
@pytest.mark.parametrize(("base", "bound"), [("bf16", 0.03), ("int8", 0.03), ("nf4", 0.3)])
def test_a_base_in_few_bits_is_nearly_the_base(method: str, base: str, bound: float, tmp_path: Path) -> None:
    """Losses of the same steps; and the weights are kept in those few bits."""
    path = saved(tmp_path, spec_of(n_embd=64, head_size=32))
    exact = open_subject(config(str(path), method=method, steps=3))
    found = open_subject(config(str(path), method=method, steps=3, base=base))
    pairs = zip(losses(trainer(exact).run()), losses(trainer(found).run()), strict=True)
    assert all(y == pytest.approx(x, abs=bound) for x, y in pairs)
    key = found.model.tensors["blocks.0.att.key.weight"]
    assert key.dtype == {"bf16": torch.bfloat16, "int8": torch.int8, "nf4": torch.uint8}[base]
    assert key.nbytes == 64 * 64 * {"bf16": 16, "int8": 8, "nf4": 4}[base] // 8


@pytest.mark.parametrize("base", ["int8", "nf4"])
@pytest.mark.parametrize("arch", tiny.ARCHS[:-1])
def test_every_version_has_its_bases(arch: str, base: str, tmp_path: Path) -> None:
    path = saved(tmp_path, spec_of(arch, n_embd=64, head_size=32))
    method = "lora" if arch == "rwkv4" else "state"
    exact, found = (
        losses(trainer(open_subject(config(str(path), method=method, steps=2, base=each))).run())
        for each in ("fp32", base)
    )
    assert found == pytest.approx(exact, abs=0.03 if base == "int8" else 0.3)


@pytest.mark.parametrize("method", ["state", "lora", "full"])
@pytest.mark.parametrize("arch", ["rwkv5.2", "rwkv6", "rwkv7"])
def test_what_is_added_up_is_in_fp32(method: str, arch: str, tmp_path: Path) -> None:
    """Weights and activations are in bf16; the recurrent state, what is trained and its moments are not."""
    made = open_subject(config(str(saved(tmp_path, spec_of(arch))), method=method, base="bf16", steps=1))
    hidden, head, after = made.model.hidden(torch.tensor([[1, 2, 3]]), made.begin(1))
    assert {made.model.dtype, hidden.dtype, head.dtype} == {torch.bfloat16}
    assert after.tensors["wkv_BLHVK"].dtype == torch.float32
    of = trainer(made)
    assert len(losses(of.run())) == 1
    moments = [x for each in of.optimizer.state.values() for x in each.values()]
    assert {x.dtype for x in (*made.trained.values(), *moments)} == {torch.float32}


@pytest.mark.parametrize("base", ["fp32", "bf16", "int8", "nf4"])
def test_the_bytes_of_a_base_are_told_beforehand(base: str, tmp_path: Path) -> None:
    spec = spec_of(n_embd=64, head_size=32)
    made = open_subject(config(str(saved(tmp_path, spec)), base=base))
    norms = 2 * spec.n_embd * (4 if base == "fp32" else 2)  # ln0, which is in the embedding
    assert sum(x.nbytes for x in made.model.tensors.values()) == weight_bytes(spec, base) - norms


def test_a_card_without_bf16_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tune.base.has_bf16", lambda device: False)
    path = str(saved(tmp_path, spec_of()))
    for base in ("bf16", "int8", "nf4"):
        with pytest.raises(Bf16Missing):
            open_subject(config(path, base=base))
    assert open_subject(config(path, base="fp32")).model.dtype == torch.float32


def grads_of(made: Subject) -> dict[str, Tensor]:
    (feed,) = feeds(rows_of(0, 4), 64, at_once=4)
    (piece,) = feed.pieces()
    (made(piece, None)[0] / feed.weight).backward()
    return {name: x.grad.clone() for name, x in made.trained.items() if x.grad is not None}


@pytest.mark.parametrize("method", ["state", "lora", "miss", "full"])
@pytest.mark.parametrize("arch", ["rwkv5.2", "rwkv6", "rwkv7"])
def test_recomputing_gives_the_same_gradients(method: str, arch: str) -> None:
    """Frozen inputs included: with them some ways of recomputing give none."""
    found = [grads_of(subject(spec_of(arch), method, recompute=recompute)) for recompute in (True, False)]
    assert found[0].keys() == found[1].keys()
    assert found[0]
    for name, x in found[0].items():
        torch.testing.assert_close(x, found[1][name], rtol=1e-5, atol=1e-8)
