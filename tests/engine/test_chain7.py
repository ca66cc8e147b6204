"""RWKV-7's decode chain, interpreted: equal to the model token by token, in every form of its weights."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.graphs import PlainStepper
from engine.models.rwkv7_chain import Chain7, kernels
from engine.models.state import relative_difference
from engine.steppers import stepper_of
from tests.engine import tiny
from tests.engine.chain_checks import (
    PACKED_SPEC,
    SPEC,
    check_many,
    check_with_model,
    check_with_twin,
    in_fp32,
    model_of,
    packed_model,
    random_state,
    steps,
)

FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16
TIERS = ("int8-g64", "int4-g32", "int8-g64-fp16", "int4-g32-fp16")


@pytest.mark.parametrize(("tokens", "batch"), [(3, 1), (1, 2), (2, 3), (1, 5)])
def test_it_is_the_models_step(tokens, batch):
    check_with_model(model_of(SPEC, FP32, "cpu"), tokens, batch, plain=False)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("n_layer", [1, 3])
def test_the_twins_are_the_models_step(n_layer, batch):
    of = tiny.spec(n_layer=n_layer, n_ffn=100)
    check_with_model(model_of(of, FP32, "cpu"), 20, batch, plain=True)


@pytest.mark.parametrize("dtype", [FP16, BF16])
@pytest.mark.parametrize("batch", [1, 2])
def test_half_precision(dtype, batch):
    check_with_twin(model_of(SPEC, dtype, "cpu"), 2, batch)


@pytest.mark.parametrize(("dtype", "limit"), [(FP16, 0.002), (BF16, 0.015)])
def test_a_batch_on_tensor_cores(dtype, limit):
    """Rounded where the model rounds, too, and at fewer places; against fp32 on the same weights."""
    check_many(model_of(SPEC, dtype, "cpu"), 5, limit)


@pytest.mark.parametrize("tier", TIERS)
def test_packed(tier):
    check_with_twin(packed_model(PACKED_SPEC, tier, "cpu"), 2, 1)


@pytest.mark.parametrize(("dtype", "limit"), [(FP16, 0.002), (BF16, 0.02)])
def test_only_the_shifts_are_rounded(dtype, limit):
    """Nearer to fp32 on the same weights than the model itself, which rounds at every operation."""
    model = model_of(SPEC, dtype, "cpu")
    exact, ids = in_fp32(model), tiny.ids(SPEC, 12)
    chain = Chain7(model, plain=True)
    found, _ = steps(chain, model.zero_state(), ids, chain.step)
    expected = exact.forward(ids, exact.zero_state(), all_logits=True)[0].transpose(0, 1)
    own = model.forward(ids, model.zero_state(), all_logits=True)[0].transpose(0, 1)
    assert relative_difference(found, expected) < min(limit, relative_difference(own, expected))


def test_going_on_from_a_copy_is_going_on():
    model = model_of(SPEC, BF16, "cpu")
    chain, other = Chain7(model), Chain7(model)
    ids = tiny.ids(SPEC, 2)
    _, middle = steps(chain, model.zero_state(), ids[:, :1], chain.step)
    chain.tokens.copy_(ids[:, 1])
    chain.step()
    logits, after = steps(other, middle, ids[:, 1:], other.step)
    assert torch.equal(chain.logits, logits[0])
    assert after.max_difference(chain.state()) == 0


def test_a_copy_is_a_copy():
    model = model_of(SPEC, FP32, "cpu")
    chain = Chain7(model, plain=True)
    chain.load(random_state(model, 1))
    first = chain.state()
    kept = first.clone()
    chain.step()
    assert first.max_difference(kept) == 0
    assert chain.state().max_difference(kept) > 0


def test_no_weight_is_there_twice():
    model = model_of(SPEC, FP32, "cpu")
    before, ids = model.nbytes, tiny.ids(SPEC, 5)
    expected, _ = model.forward(ids, model.zero_state())
    first, second = Chain7(model), Chain7(model)
    held = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in model.tensors.values()}
    assert sum(held.values()) == model.nbytes == before
    for layer, again in zip(first._layers, second._layers, strict=True):
        assert layer.head_step.low_rank.data_ptr() == again.head_step.low_rank.data_ptr()
        assert layer.value.values.data_ptr() in held
        assert layer.share.data_ptr() == again.share.data_ptr()
    found, _ = model.forward(ids, model.zero_state())
    assert relative_difference(found, expected) < 1e-6


def test_changed_weights_are_seen():
    """An adapter is exchanged by writing into a model's tensors."""
    model, other = model_of(SPEC, FP32, "cpu"), tiny.model(SPEC, seed=7)
    chain = Chain7(model, plain=True)
    for name, x in other.tensors.items():
        model.tensors[name].copy_(x)
    ids, state = tiny.ids(SPEC, 3), random_state(model, 1)
    found, _ = steps(chain, state, ids, chain.step)
    expected, _ = other.forward(ids, state)
    assert relative_difference(found[-1], expected) < 1e-5


def test_a_step_allocates_nothing_and_launches_five_kernels_a_layer():
    model = model_of(SPEC, FP32, "cpu")
    chain = Chain7(model)
    counts = dict.fromkeys(chain._ops._fields, 0)

    def counting(name):
        def count(*_, **__):
            counts[name] += 1

        return count

    chain._ops = type(chain._ops)(*(counting(name) for name in counts))
    chain.step()
    L = SPEC.n_layer
    assert counts == {"embed": 1, "time_mix_in": L, "head_step": L, "project": 2 * L + 1, "ffn_value": L}
    assert kernels(model.device, 1, chain._layers, chain._head)._fields == chain._ops._fields


def test_odd_head_sizes_take_the_models_step():
    odd = tiny.spec(n_embd=48, head_size=24)
    assert isinstance(stepper_of(tiny.model(odd), 1), PlainStepper)
    assert isinstance(stepper_of(tiny.model(SPEC), 1), Chain7)
