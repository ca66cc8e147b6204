"""RWKV-5's and 6's recurrence in chunks against the sequential one: values, gradients, extreme decays."""

from __future__ import annotations

import pytest
import torch

from engine.models.state import relative_difference
from engine.ops.wkv6 import wkv6, wkv6_chunk, wkv6_naive

LENGTHS = [1, 2, 15, 16, 17, 33, 50]
DECAYS = {  # the logarithm's own logarithm, from … to
    "usual": (-6.0, 1.0),
    "extreme": (-12.0, 6.0),  # from no forgetting in ten thousand tokens to exp(−400) for each
    "all forgotten": (7.0, 8.0),
    "nothing forgotten": (-40.0, -30.0),
}


def arguments(B, T, H, N, *, decays="usual", dtype=torch.float64, seed=0, zero_state=False):
    rng = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=rng, dtype=dtype)

    low, high = DECAYS[decays]
    log_w = -torch.exp(low + (high - low) * torch.rand(B, T, H, N, generator=rng, dtype=dtype))
    state = torch.zeros(B, H, N, N, dtype=dtype) if zero_state else randn(B, H, N, N)
    inputs = randn(B, T, H, N), log_w, randn(B, T, H, N), randn(B, T, H, N), randn(H, N), state
    return [x.requires_grad_() for x in inputs]


def part(op, inputs, tokens: slice, state):
    """`op` on some of the tokens, from another state."""
    *along, u, _ = inputs
    return op(*(x[:, tokens] for x in along), u, state)


def gradients(op, inputs, seed=3):
    y, state = op(*inputs)
    rng = torch.Generator().manual_seed(seed)
    dy, dstate = (torch.randn(x.shape, generator=rng, dtype=x.dtype) for x in (y, state))
    return torch.autograd.grad((y * dy).sum() + (state * dstate).sum(), inputs)


@pytest.mark.parametrize("decays", DECAYS)
@pytest.mark.parametrize("zero_state", [True, False])
@pytest.mark.parametrize("T", LENGTHS)
def test_chunk_equals_naive_in_values_and_gradients(T, zero_state, decays):
    inputs = arguments(2, T, 2, 8, decays=decays, zero_state=zero_state)
    for got, expected in zip(wkv6_chunk(*inputs), wkv6_naive(*inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    for got, expected in zip(gradients(wkv6_chunk, inputs), gradients(wkv6_naive, inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_gradcheck():
    assert torch.autograd.gradcheck(wkv6_chunk, arguments(1, 18, 1, 3), atol=1e-6)


@pytest.mark.parametrize("decays", DECAYS)
def test_fp32_is_within_its_rounding(decays):
    exact = arguments(2, 100, 2, 64, decays=decays)
    single = [x.detach().float() for x in exact]
    for op in (wkv6_chunk, wkv6_naive):
        for got, expected in zip(op(*single), wkv6_naive(*exact), strict=True):
            assert relative_difference(got, expected) < 3e-6


def test_strong_decays_beside_weak_ones_lose_no_digits():
    """Sums of logarithms reach −2000 within a chunk while their last differences are 0.01."""
    exact = arguments(1, 48, 1, 16, decays="usual", zero_state=True)
    strong = torch.arange(48)[None, :, None, None] % 16 < 12
    exact[1] = torch.where(strong, -150.0, -0.01).expand(1, 48, 1, 16).double()
    single = [x.detach().float() for x in exact]
    for got, expected in zip(wkv6_chunk(*single), wkv6_naive(*exact), strict=True):
        assert relative_difference(got, expected) < 1e-6


@pytest.mark.parametrize("decays", ["usual", "extreme"])
def test_no_drift_over_512_tokens(decays):
    exact = arguments(1, 512, 2, 16, decays=decays)
    single = [x.detach().float() for x in exact]
    state, ys = single[-1], []
    for t in range(512):  # one call per token: the decode path
        y, state = part(wkv6, single, slice(t, t + 1), state)
        ys.append(y)
    expected, end = wkv6_naive(*exact)
    for y, s in ((torch.cat(ys, 1), state), wkv6_chunk(*single)):
        assert relative_difference(y, expected) < 5e-6
        assert relative_difference(s, end) < 5e-6


def test_splitting_changes_nothing():
    inputs = arguments(1, 40, 2, 8)
    whole, end = wkv6_chunk(*inputs)
    for cut in range(1, 40):
        first, middle = part(wkv6_chunk, inputs, slice(cut), inputs[-1])
        second, last = part(wkv6_chunk, inputs, slice(cut, None), middle)
        torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(last, end, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("T", [3, 20])
def test_tokens_beyond_a_row_change_no_state(T):
    inputs = [x.detach() for x in arguments(3, T, 2, 8)]
    lengths = torch.tensor([T, 1, T - 1])
    y, state = wkv6(*inputs, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        one = slice(row, row + 1)
        own = [*(x[one] for x in inputs[:4]), inputs[4], inputs[5][one]]
        alone, end = part(wkv6, own, slice(length), own[5])
        torch.testing.assert_close(y[row : row + 1, :length], alone, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(state[row : row + 1], end, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("op", [wkv6, wkv6_chunk, wkv6_naive])
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
    y, state = wkv6_chunk(*inputs)
    assert y.dtype == state.dtype == torch.float32
    assert [g.dtype for g in gradients(wkv6_chunk, inputs)] == [torch.bfloat16] * 5 + [torch.float32]
