"""wkv6's Triton kernels against the sequential recurrence in fp64: values, gradients, lengths, any decay."""

from __future__ import annotations

import pytest
import torch

from engine.models.state import relative_difference
from engine.ops.wkv6 import wkv6_naive
from tests.engine.poison import poison_new_memory
from tests.engine.test_wkv6 import arguments, part

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.ops.padding import blank
from engine.ops.wkv6.triton_chunk import wkv6_triton_chunk
from engine.ops.wkv6.triton_serial import wkv6_triton_serial

VALUES, GRADIENTS = 3e-6, 2e-5  # of the largest value, fp32 against fp64


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison_new_memory(monkeypatch)


def single(exact):
    return [x.detach().float().requires_grad_() for x in exact]


def chunked(lengths=None, precision="ieee"):
    return lambda *inputs: wkv6_triton_chunk(*inputs, lengths=lengths, precision=precision)


def serial(lengths=None):
    return lambda *inputs: wkv6_triton_serial(*inputs, lengths=lengths)


def results(op, inputs, fed=None):
    """y, the last state, and the gradients of a fixed function of both; padding's y is left out."""
    y, state = op(*inputs)
    if fed is not None:
        y = torch.where(fed[:, :, None, None], y, 0)
    rng = torch.Generator().manual_seed(3)
    dy, dstate = (torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x) for x in (y, state))
    return [y, state, *torch.autograd.grad((y * dy).sum() + (state * dstate).sum(), inputs)]


def check(got, expected, values=VALUES, gradients=GRADIENTS):
    for x, reference, bound in zip(got, expected, [values] * 2 + [gradients] * 6, strict=True):
        assert torch.isfinite(x).all()
        assert relative_difference(x, reference) < bound


@pytest.mark.parametrize("decays", ["usual", "extreme", "all forgotten", "nothing forgotten"])
@pytest.mark.parametrize("T", [1, 16, 37])
def test_chunks_equal_the_recurrence_in_values_and_gradients(T, decays):
    exact = arguments(2 if T == 16 else 1, T, 1, 16, decays=decays, zero_state=T == 1)
    check(results(chunked(), single(exact)), results(wkv6_naive, exact))


@pytest.mark.long
@pytest.mark.parametrize("N", [16, 64])
@pytest.mark.parametrize("T", [2, 15, 17, 31, 48, 70])
def test_more_chunks_equal_the_recurrence(T, N):
    exact = arguments(2, T, 2, N, decays="extreme")
    check(results(chunked(), single(exact)), results(wkv6_naive, exact))


def test_strong_decays_beside_weak_ones_lose_no_digits():
    exact = arguments(1, 32, 1, 16, zero_state=True)
    strong = torch.arange(32)[None, :, None, None] % 16 < 12
    exact[1] = torch.where(strong, -150.0, -0.01).expand(1, 32, 1, 16).double().requires_grad_()
    check(results(chunked(), single(exact)), results(wkv6_naive, exact), 1e-6, 1e-4)


def test_a_decay_that_stands_still_is_not_copied():
    """RWKV-5's comes expanded along T, with a stride of zero; its gradient is the sum."""
    exact = arguments(2, 20, 2, 16)
    vector = exact[1].detach()[:1, :1].requires_grad_()
    inputs = single(exact)
    short = vector.detach().float().requires_grad_()

    def spread(x):
        return lambda r, _, *rest: (r, x.expand(2, 20, 2, 16), *rest)

    got = chunked()(*spread(short)(*inputs))
    expected = wkv6_naive(*spread(vector)(*exact))
    for x, reference in zip(got, expected, strict=True):
        assert relative_difference(x, reference) < VALUES
    (grad,) = torch.autograd.grad(got[0].sum(), short)
    (reference,) = torch.autograd.grad(expected[0].sum(), vector)
    assert relative_difference(grad, reference) < GRADIENTS


@pytest.mark.parametrize("T", [1, 2, 19])
def test_token_by_token_equals_the_recurrence(T):
    exact = [x.detach() for x in arguments(2, T, 2, 32, decays="extreme")]
    got = serial()(*(x.float() for x in exact))
    for x, reference in zip(got, wkv6_naive(*exact), strict=True):
        assert relative_difference(x, reference) < VALUES


def test_rows_of_different_length_and_what_stands_behind_them():
    lengths = torch.tensor([20, 1, 17])
    fed = torch.arange(20) < lengths[:, None]
    exact = arguments(3, 20, 1, 16)

    def padded(r, log_w, k, v, u, state):
        log_w, k = blank((log_w, k), lengths)
        return wkv6_naive(r, log_w, k, v, u, state)

    expected = results(padded, exact, fed)
    check(results(chunked(lengths), single(exact), fed), expected)
    *along, u, state = single(exact)
    spoiled = [torch.where(fed[:, :, None, None], x, float("nan")) for x in along]
    for op in (chunked(lengths), serial(lengths)):
        y, last = op(*spoiled, u, state)
        assert relative_difference(y[fed], expected[0][fed]) < VALUES
        assert relative_difference(last, expected[1]) < VALUES


def test_splitting_anywhere_gives_the_same_state(sample):
    T = 35
    inputs = [x.detach().float() for x in arguments(1, T, 1, 16)]
    whole, end = chunked()(*inputs)
    cuts = sample("splits of a prefill, RWKV-6", 3, T - 1)
    for cut in range(1, T, (T - 1) // cuts):
        first, middle = part(chunked(), inputs, slice(cut), inputs[-1])
        second, last = part(chunked(), inputs, slice(cut, None), middle)
        assert relative_difference(torch.cat((first, second), 1), whole) < VALUES
        assert relative_difference(last, end) < VALUES


def test_half_precision_inputs_get_half_precision_gradients():
    inputs = single(arguments(1, 20, 1, 16))
    inputs = [x.detach().bfloat16().requires_grad_() for x in inputs[:-1]] + [inputs[-1]]
    got = results(chunked(), inputs)
    assert [x.dtype for x in got[2:]] == [torch.bfloat16] * 5 + [torch.float32]
    expected = results(wkv6_naive, [x.detach().double().requires_grad_() for x in inputs])
    check(got, expected, VALUES, 2**-7)  # the interpreter cuts to bf16, a card rounds


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card that PyTorch can use")
@pytest.mark.parametrize("precision", ["ieee", "tf32x3", "tf32"])
@pytest.mark.parametrize("T", [1, 17, 333])
def test_on_a_card(T, precision):
    exact = arguments(2, T, 3, 64, decays="extreme")
    on_card = [x.detach().float().cuda().requires_grad_() for x in exact]
    op = chunked(precision=precision)
    bounds = (5e-3, 1e-2) if precision == "tf32" else (5e-6, 1e-4)
    check([x.cpu() for x in results(op, on_card)], results(wkv6_naive, exact), *bounds)
