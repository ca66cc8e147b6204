"""RWKV-4's average by doubling against the sequential one: values, gradients, extreme weights."""

from __future__ import annotations

import pytest
import torch

from engine.models.state import relative_difference
from engine.ops.wkv4 import wkv4, wkv4_naive, wkv4_scan

LENGTHS = [1, 2, 3, 7, 8, 9, 33, 50]
NOTHING_YET = -1e30


def arguments(B, T, C, *, dtype=torch.float64, seed=0, zero_state=False, scale=1.0):
    """log_w, u, k, v and the three parts of the state; `scale` is that of u and k."""
    rng = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=rng, dtype=dtype)

    log_w = -torch.exp(-8 + 11 * torch.rand(C, generator=rng, dtype=dtype))
    empty = torch.zeros(B, C, dtype=dtype)
    state = (empty, empty.clone(), empty + NOTHING_YET)
    if not zero_state:
        state = (randn(B, C), 1 + randn(B, C).abs(), randn(B, C))
    inputs = log_w, scale * randn(C), scale * randn(B, T, C), randn(B, T, C), *state
    return [x.requires_grad_() for x in inputs]


def called(op, inputs):
    """The four results in a row."""
    y, state = op(*inputs[:4], tuple(inputs[4:]))
    return y, *state


def gradients(op, inputs, seed=3):
    """Of y and of the average that the state stands for; the exponent alone is arbitrary."""
    y, numerator, denominator, exponent = called(op, inputs)
    rng = torch.Generator().manual_seed(seed)
    dy, dn, dd = (torch.randn(x.shape, generator=rng, dtype=x.dtype) for x in (y, numerator, denominator))
    scale = (exponent - exponent.detach()).exp()
    score = (y * dy).sum() + (numerator * scale * dn).sum() + (denominator * scale * dd).sum()
    return torch.autograd.grad(score, inputs[:6])


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["usual", "extreme"])
@pytest.mark.parametrize("zero_state", [True, False])
@pytest.mark.parametrize("T", LENGTHS)
def test_scan_equals_naive_in_values_and_gradients(T, zero_state, scale):
    inputs = arguments(2, T, 8, zero_state=zero_state, scale=scale)
    for got, expected in zip(called(wkv4_scan, inputs), called(wkv4_naive, inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    for got, expected in zip(gradients(wkv4_scan, inputs), gradients(wkv4_naive, inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", [wkv4_naive, wkv4_scan])
def test_the_average_is_the_one_of_the_definition(op):
    log_w, u, k, v, *state = (x.detach() for x in arguments(1, 12, 5, zero_state=True))
    y, _ = op(log_w, u, k, v, tuple(state))
    for t in range(12):
        age = torch.arange(t - 1, -1, -1, dtype=torch.float64)[:, None]
        weights = torch.cat((torch.exp(k[0, :t] + age * log_w), torch.exp(u + k[0, t : t + 1])))
        expected = (weights * v[0, : t + 1]).sum(0) / weights.sum(0)
        torch.testing.assert_close(y[0, t], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("op", [wkv4_naive, wkv4_scan])
def test_weights_far_beyond_exp_stay_finite(op):
    inputs = arguments(1, 40, 8, dtype=torch.float32, scale=300.0)
    assert all(torch.isfinite(x).all() for x in called(op, inputs))


def test_512_tokens_in_fp32():
    """Stepping subtracts the decay from the exponent again and again, as the official package does."""
    exact = [x.detach() for x in arguments(1, 512, 64)]
    single = [x.float() for x in exact]
    expected = called(wkv4_naive, exact)
    for op, bound in ((wkv4_scan, 2e-6), (wkv4_naive, 1e-4)):
        for got, wanted in zip(called(op, single), expected, strict=True):
            assert relative_difference(got, wanted) < bound


@pytest.mark.parametrize("op", [wkv4, wkv4_naive, wkv4_scan])
def test_splitting_changes_nothing(op):
    log_w, u, k, v, *state = (x.detach() for x in arguments(2, 30, 8))
    whole, end = op(log_w, u, k, v, tuple(state))
    for cut in range(1, 30):
        first, middle = op(log_w, u, k[:, :cut], v[:, :cut], tuple(state))
        second, last = op(log_w, u, k[:, cut:], v[:, cut:], middle)
        torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(last, end, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("op", [wkv4, wkv4_naive, wkv4_scan])
def test_tokens_beyond_a_row_change_no_state(op):
    log_w, u, k, v, *state = (x.detach() for x in arguments(3, 20, 8))
    lengths = torch.tensor([20, 1, 13])
    y, end = op(log_w, u, k, v, tuple(state), lengths)
    for row, length in enumerate(lengths.tolist()):
        own = tuple(x[row : row + 1] for x in state)
        alone, after = op(log_w, u, k[row : row + 1, :length], v[row : row + 1, :length], own)
        torch.testing.assert_close(y[row : row + 1, :length], alone, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(tuple(x[row : row + 1] for x in end), after, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("op", [wkv4, wkv4_naive, wkv4_scan])
@pytest.mark.parametrize("T", [0, 1, 20])
def test_the_state_is_not_changed_and_not_shared(op, T):
    inputs = [x.detach() for x in arguments(1, T, 4)]
    before = [x.clone() for x in inputs]
    y, *state = called(op, inputs)
    for x in state:
        x.fill_(5.0)
    assert all(torch.equal(x, kept) for x, kept in zip(inputs, before, strict=True))
    assert y.shape == (1, T, 4)
