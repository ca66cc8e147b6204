"""RWKV-7's own decode step on a CPU: the general form's results but for rounding; what is held stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.errors import StateMismatch
from engine.models.rwkv7 import Rwkv7
from engine.models.rwkv7_step import Rwkv7Step
from engine.weights import reading
from tests.engine import tiny

if TYPE_CHECKING:
    from engine.models.model import Model

SPEC = tiny.spec(5, 128, 64, 1000, 16)
# of the logits from the general form's, at the median position (which is
# as far from fp32, see tests/bench/README.md); of the state's tensors, by norms
FARTHEST = {"fp32": (2e-6, 2e-5), "fp16": (0.006, 0.01)} | dict.fromkeys(
    ("bf16", "int8", "int4-rows"), (0.04, 0.06)
)


def own_step(model: Model) -> object:
    assert isinstance(model, Rwkv7)
    return model._own_step


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found.double() - truth.double()).norm() / truth.double().norm())


@torch.inference_mode()
def both(model, count: int = 40, state=None):
    """Logits [T,O] and last state of the own step, and of the general form."""
    plain = state = state or model.zero_state()
    found, truth = [], []
    for token in tiny.ids(model.spec, count)[0]:
        row, state = model.step(token[None], state)
        other, plain = model.forward(token[None, None], plain)
        found.append(row[0])
        truth.append(other[0])
    return torch.stack(found), state, torch.stack(truth), plain


@pytest.mark.parametrize("tier", FARTHEST)
@pytest.mark.parametrize("spec", [SPEC, tiny.spec(1, 64, 32, 100, 8)], ids=["large", "small"])
def test_the_step_is_the_general_form(tier, spec):
    model = tiny.of_tier(spec, tier, seed=4)
    found, state, truth, plain = both(model)
    assert isinstance(own_step(model), Rwkv7Step)
    assert found.dtype == torch.float32
    distances = ((found - truth).norm(dim=1) / truth.norm(dim=1)).median()
    assert float(distances) <= FARTHEST[tier][0]
    for name, x in state.tensors.items():
        assert x.dtype == plain.tensors[name].dtype
        assert x.shape == plain.tensors[name].shape
        assert relative(x, plain.tensors[name]) <= FARTHEST[tier][1], name


@pytest.mark.parametrize("tier", ["bf16", "int8"])
def test_rows_of_units_are_summed_by_one_thread_and_by_two(tier, monkeypatch):
    """As in a large model: the second matrix of the channel mix turned."""
    monkeypatch.setattr(reading, "TURNED_FROM", 0)
    model = tiny.of_tier(SPEC, tier, seed=4)
    for name, x in model.tensors.items():
        if name.endswith("ffn.value.weight") and tier == "bf16":
            model.tensors[name] = x.mT.contiguous().mT
    before, logits = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            logits.append(both(model))
        finally:
            torch.set_num_threads(before)
    for found, _, truth, _ in logits:
        assert relative(found, truth) <= FARTHEST[tier][0]


@torch.inference_mode()
def test_states_and_logits_that_are_held_stay_as_they_are():
    model = tiny.of_tier(SPEC, "bf16")
    held = []
    state = model.zero_state()
    for token in range(5):
        logits, state = model.step(torch.tensor([token]), state)
        held.append((logits, logits.clone(), state, state.clone()))
    for logits, copied, state, of_state in held:
        assert torch.equal(logits, copied)
        assert all(torch.equal(x, of_state.tensors[name]) for name, x in state.tensors.items())


@torch.inference_mode()
def test_the_same_tokens_give_the_same_bits():
    model = tiny.of_tier(SPEC, "int8")
    first, second = both(model)[0], both(model)[0]
    assert torch.equal(first, second)


def test_gradients_and_batches_take_the_general_form():
    model = tiny.of_tier(SPEC, "fp32")
    model.step(torch.tensor([3]), model.zero_state())
    with torch.inference_mode():
        model.step(torch.tensor([3, 4]), model.zero_state(2))
    assert own_step(model) is None


@torch.inference_mode()
@pytest.mark.parametrize("tier", ["fp32", "bf16", "int8"])
def test_what_is_no_number_shows(tier):
    """A state with NaN gives NaN, and the step after it, from a good state, is as good as ever."""
    model = tiny.of_tier(SPEC, tier)
    good = model.zero_state()
    expected, _ = model.step(torch.tensor([1]), good)
    bad = good.clone()
    bad.tensors["att_shift_BLC"][:, 2] = float("nan")
    assert bool(model.step(torch.tensor([1]), bad)[0].isnan().all())
    assert torch.equal(model.step(torch.tensor([1]), good)[0], expected)


@torch.inference_mode()
def test_a_state_of_another_model_is_refused():
    other = tiny.of_tier(tiny.spec(2, 128, 64, 1000, 16), "bf16").zero_state()
    with pytest.raises(StateMismatch):
        tiny.of_tier(SPEC, "bf16").step(torch.tensor([1]), other)


@torch.inference_mode()
@pytest.mark.parametrize("tier", ["bf16", "int8", "int4-rows"])
def test_weights_that_were_exchanged_are_seen(tier):
    """As when an adapter is put in: other tensors in the same table, after `release`."""
    model, other = tiny.of_tier(SPEC, tier), tiny.of_tier(SPEC, tier, seed=5)
    expected, _ = other.step(torch.tensor([3]), other.zero_state())
    before, _ = model.step(torch.tensor([3]), model.zero_state())
    model.release()
    model.tensors.update(other.tensors)
    found, _ = model.step(torch.tensor([3]), model.zero_state())
    assert torch.equal(found, expected)
    assert not torch.equal(found, before)
