"""The chunk form of the recurrence against the sequential one: values, gradients, drift."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from engine.models.state import relative_difference
from engine.ops.wkv7 import wkv7, wkv7_chunk, wkv7_naive

LENGTHS = [1, 2, 15, 16, 17, 31, 32, 33, 50]


def arguments(B, T, H, N, *, dtype=torch.float64, seed=0, zero_state=False):
    """Inputs of the kind a model makes: unit removal keys, decays over their whole range."""
    rng = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=rng, dtype=dtype)

    kappa = normalize(randn(B, T, H, N), dim=-1)
    iclr = torch.sigmoid(2 * randn(B, T, H, N))
    log_w = -0.606531 * torch.sigmoid(4 * randn(B, T, H, N))
    state = torch.zeros(B, H, N, N, dtype=dtype) if zero_state else randn(B, H, N, N)
    inputs = (
        randn(B, T, H, N),
        log_w,
        randn(B, T, H, N),
        randn(B, T, H, N),
        -kappa,
        kappa * iclr,
        state,
    )
    return [x.requires_grad_() for x in inputs]


def part(op, inputs, tokens: slice, state):
    """`op` on some of the tokens, from another state."""
    return op(*[x[:, tokens] for x in inputs[:-1]], state)


def gradients(op, inputs, seed=3):
    y, state = op(*inputs)
    rng = torch.Generator().manual_seed(seed)
    dy, dstate = (torch.randn(x.shape, generator=rng, dtype=x.dtype) for x in (y, state))
    return torch.autograd.grad((y * dy).sum() + (state * dstate).sum(), inputs)


@pytest.mark.parametrize("zero_state", [True, False])
@pytest.mark.parametrize("T", LENGTHS)
def test_chunk_equals_naive_in_values_and_gradients(T, zero_state):
    inputs = arguments(2, T, 2, 8, zero_state=zero_state)
    for got, expected in zip(wkv7_chunk(*inputs), wkv7_naive(*inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    for got, expected in zip(gradients(wkv7_chunk, inputs), gradients(wkv7_naive, inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_gradcheck():
    assert torch.autograd.gradcheck(wkv7_chunk, arguments(1, 18, 1, 3), atol=1e-6)


def test_fp32_is_within_its_rounding():
    exact = arguments(2, 100, 2, 64)
    single = [x.detach().float() for x in exact]
    expected, got = wkv7_naive(*exact), wkv7_chunk(*single)
    assert relative_difference(got[0], expected[0]) < 2e-6
    assert relative_difference(got[1], expected[1]) < 2e-6


def test_no_drift_over_512_tokens():
    exact = arguments(1, 512, 2, 16)
    single = [x.detach().float() for x in exact]
    state, ys = single[-1], []
    for t in range(512):  # one call per token: the decode path
        y, state = part(wkv7, single, slice(t, t + 1), state)
        ys.append(y)
    expected, end = wkv7_naive(*exact)
    chunked, chunk_end = wkv7_chunk(*single)
    for y, s in ((torch.cat(ys, 1), state), (chunked, chunk_end)):
        assert relative_difference(y, expected) < 3e-6
        assert relative_difference(s, end) < 3e-6


def test_splitting_changes_nothing():
    inputs = arguments(1, 40, 2, 8)
    whole, end = wkv7_chunk(*inputs)
    for cut in range(1, 40):
        first, middle = part(wkv7_chunk, inputs, slice(cut), inputs[-1])
        second, last = part(wkv7_chunk, inputs, slice(cut, None), middle)
        torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(last, end, rtol=1e-11, atol=1e-11)


def test_strongest_decay_stays_finite():
    inputs = arguments(1, 64, 1, 16, dtype=torch.float32)
    inputs[1] = torch.full_like(inputs[1], -0.606531).requires_grad_()
    assert all(torch.isfinite(x).all() for x in (*wkv7_chunk(*inputs), *gradients(wkv7_chunk, inputs)))


@pytest.mark.parametrize("op", [wkv7, wkv7_chunk, wkv7_naive])
@pytest.mark.parametrize("T", [0, 1, 20])
def test_the_state_is_not_changed_and_not_shared(op, T):
    inputs = [x.detach() for x in arguments(1, T, 1, 4)]
    before = inputs[-1].clone()
    y, state = op(*inputs)
    state.fill_(5.0)
    assert torch.equal(inputs[-1], before)
    assert y.shape == (1, T, 1, 4)


def test_half_precision_inputs_get_half_precision_gradients():
    inputs = [x.detach().float() for x in arguments(1, 20, 1, 8)]
    inputs = [x.bfloat16().requires_grad_() for x in inputs[:-1]] + [inputs[-1].requires_grad_()]
    y, state = wkv7_chunk(*inputs)
    assert y.dtype == state.dtype == torch.float32
    assert [g.dtype for g in gradients(wkv7_chunk, inputs)] == [torch.bfloat16] * 6 + [torch.float32]
