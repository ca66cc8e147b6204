"""wkv7's Triton kernels against the sequential recurrence in fp64: values, gradients, splits, lengths.

Without a card they run in Triton's interpreter, which computes every product in fp32.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch

from engine.models.state import relative_difference
from engine.ops.wkv7 import wkv7_naive
from tests.engine.poison import poison_new_memory
from tests.engine.test_wkv7 import arguments, part

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from triton.runtime import interpreter

from engine.ops.chunk_states.naive import read_naive, scan_naive
from engine.ops.chunk_states.settings import EXACT, FAST, WITHOUT_TF32, Settings
from engine.ops.chunk_states.triton_scan import read, scan
from engine.ops.padding import blank
from engine.ops.wkv7.triton_chunk import wkv7_triton_chunk
from engine.ops.wkv7.triton_serial import wkv7_triton_serial

C16 = Settings(chunk=16, block=16, precision="ieee", warps=4)
C32 = C16._replace(chunk=32)
C64 = C16._replace(chunk=64)

VALUES, GRADIENTS = 2e-6, 1e-5  # of the largest value, fp32 against fp64
# (settings, T, N): one token, one chunk and a token more, several chunks; one block of channels and two
FEW = [(C16, 1, 16), (C16, 17, 32), (C16, 50, 16), (C32, 33, 16), (C64, 69, 16), (C64, 7, 16)]
MANY = [(s, T, N) for s in (C16, C32, C64) for T in (2, 15, 16, 31, 32, 48, 64, 70) for N in (16, 64)]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison_new_memory(monkeypatch)


def single(exact):
    return [x.detach().float().requires_grad_() for x in exact]


def chunked(settings, lengths=None):
    return lambda *inputs: wkv7_triton_chunk(*inputs, lengths=lengths, settings=settings)


def results(op, inputs, fed=None):
    """y, the last state, and the gradients of a fixed function of both; padding's y is left out."""
    y, state = op(*inputs)
    if fed is not None:
        y = torch.where(fed[:, :, None, None], y, 0)
    rng = torch.Generator().manual_seed(3)
    dy, dstate = (torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x) for x in (y, state))
    return [y, state, *torch.autograd.grad((y * dy).sum() + (state * dstate).sum(), inputs)]


def check(got, expected, values=VALUES, gradients=GRADIENTS):
    for x, reference, bound in zip(got, expected, [values] * 2 + [gradients] * 7, strict=True):
        assert torch.isfinite(x).all()
        assert relative_difference(x, reference) < bound


@pytest.mark.parametrize("case", FEW + [pytest.param(each, marks=pytest.mark.long) for each in MANY], ids=str)
def test_chunks_equal_the_recurrence_in_values_and_gradients(case):
    settings, T, N = case
    exact = arguments(2, T, 1, N, zero_state=T % 2 == 0)
    check(results(chunked(settings), single(exact)), results(wkv7_naive, exact))


@pytest.mark.parametrize("T", [1, 2, 19])
def test_token_by_token_equals_the_recurrence(T):
    exact = [x.detach() for x in arguments(2, T, 2, 32)]
    got = wkv7_triton_serial(*(x.float() for x in exact), lengths=None)
    for x, reference in zip(got, wkv7_naive(*exact), strict=True):
        assert relative_difference(x, reference) < VALUES


def test_rows_of_different_length():
    T, lengths = 37, torch.tensor([37, 1, 20])
    fed = torch.arange(T) < lengths[:, None]
    exact = arguments(3, T, 1, 16)
    got = results(chunked(C16, lengths), single(exact), fed)

    def padded(r, log_w, k, v, a, b, state):
        log_w, k, b = blank((log_w, k, b), lengths)
        return wkv7_naive(r, log_w, k, v, a, b, state)

    check(got, results(padded, exact, fed))
    y, state = wkv7_triton_serial(*single(exact), lengths=lengths)
    assert relative_difference(y[fed], got[0][fed]) < VALUES
    assert relative_difference(state, got[1]) < VALUES


def test_what_stands_in_the_padding_does_not_matter():
    lengths = torch.tensor([20, 3])
    fed = torch.arange(20) < lengths[:, None]
    inputs = [x.detach().float() for x in arguments(2, 20, 1, 16)]
    spoiled = [torch.where(fed[:, :, None, None], x, float("nan")) for x in inputs[:-1]]
    given = [*spoiled, inputs[-1]]
    for op in (chunked(C16, lengths), partial(wkv7_triton_serial, lengths=lengths)):
        y, state = op(*given)
        assert torch.isfinite(y[fed]).all()
        assert torch.isfinite(state).all()


def test_splitting_anywhere_gives_the_same_state(sample):
    T = 40
    inputs = [x.detach().float() for x in arguments(1, T, 1, 16)]
    whole, end = chunked(C16)(*inputs)
    cuts = sample("splits of a prefill", 4, T - 1)
    for cut in range(1, T, (T - 1) // cuts):
        first, middle = part(chunked(C16), inputs, slice(cut), inputs[-1])
        second, last = part(chunked(C16), inputs, slice(cut, None), middle)
        assert relative_difference(torch.cat((first, second), 1), whole) < VALUES
        assert relative_difference(last, end) < VALUES


def test_strongest_decay_and_repeated_keys():
    """Where factors are largest; and where the powers of Lab would reach 10¹⁷."""
    exact = arguments(1, 64, 1, 16)
    strongest = [*exact]
    strongest[1] = torch.full_like(exact[1], -0.606531).requires_grad_()
    same = [x.detach()[:, :1].expand_as(x).clone().requires_grad_() for x in exact[:-1]]
    same[1] = torch.zeros_like(exact[1]).requires_grad_()
    same[5] = (-same[4].detach()).requires_grad_()
    for inputs in (strongest, [*same, exact[-1]]):
        check(results(chunked(C64), single(inputs)), results(wkv7_naive, inputs), 1e-5, 1e-4)


def test_half_precision_inputs_get_half_precision_gradients():
    exact = arguments(1, 20, 1, 16)
    halves = [x.detach().bfloat16().requires_grad_() for x in exact[:-1]] + [single(exact)[-1]]
    halves[1] = single(exact)[1]
    got = results(chunked(C16), halves)
    expected = results(wkv7_naive, [x.detach().double().requires_grad_() for x in halves])
    assert [x.dtype for x in got[:2]] == [torch.float32] * 2
    assert [x.dtype for x in got[2:]] == [x.dtype for x in halves]
    check(got, expected, VALUES, 2**-7)  # the interpreter cuts to bf16, a card rounds


def test_the_state_is_not_changed_and_not_shared():
    inputs = [x.detach().float() for x in arguments(1, 5, 1, 16)]
    before = inputs[-1].clone()
    for y, state in (chunked(C16)(*inputs), wkv7_triton_serial(*inputs, lengths=None)):
        state.fill_(5.0)
        assert torch.equal(inputs[-1], before)
        assert y.shape == (1, 5, 1, 16)


def test_the_fast_mode_is_within_its_tolerance(monkeypatch):
    """The interpreter's products are fp32; here they cut their factors off as tf32 hardware does."""
    plain = interpreter.InterpreterBuilder.create_dot

    def cut(x):
        bits = x.data.copy().view("uint32") & 0xFFFFE000
        return interpreter.TensorHandle(bits.view("float32"), x.dtype)

    def create_dot(self, a, b, *rest):
        return plain(self, cut(a), cut(b), *rest)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)
    exact = arguments(1, 40, 1, 32)
    check(results(chunked(FAST), single(exact)), results(wkv7_naive, exact), 1e-3, 2e-3)
    # and it would not be without rounding first
    loose = results(chunked(FAST._replace(precision="ieee")), single(exact))
    assert relative_difference(loose[0], wkv7_naive(*exact)[0]) > 1e-3


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("with_q", [False, True])
def test_the_scan_and_the_reading(reverse, with_q):
    G, n, K, V = 2, 3, 16, 32
    rng = torch.Generator().manual_seed(1)
    q, update, first = (torch.randn(s, generator=rng) for s in ((G, n, K, K), (G, n, K, V), (G, V, K)))
    total = torch.rand(G, n, K, generator=rng)
    parts = total, q / 4 if with_q else None, update, first
    states = scan(*parts, reverse=reverse, precision="ieee")
    torch.testing.assert_close(states, scan_naive(*parts, reverse=reverse))
    y0, reading = torch.randn(G, n, 16, V, generator=rng), torch.randn(G, n, 16, K, generator=rng)
    y = read(y0, reading, states, 1, 40, "ieee")
    expected = read_naive(y0, reading, states[:, :-1]).reshape(1, G, n * 16, V)[:, :, :40]
    torch.testing.assert_close(y, expected.transpose(1, 2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card that PyTorch can use")
@pytest.mark.parametrize("settings", [EXACT, FAST, WITHOUT_TF32], ids=str)
@pytest.mark.parametrize("T", [1, 17, 64, 333])
def test_on_a_card(T, settings):
    exact = arguments(2, T, 3, 64)
    on_card = [x.detach().float().cuda().requires_grad_() for x in exact]
    got = [x.cpu() for x in results(chunked(settings), on_card)]
    bounds = (5e-3, 1e-2) if settings.precision == "tf32" else (5e-6, 1e-4)
    check(got, results(wkv7_naive, exact), *bounds)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card that PyTorch can use")
def test_fla_agrees():
    """Another project's kernels: an oracle that shares no code with ours."""
    fla = pytest.importorskip("fla.ops.rwkv7", reason="fla-core is not installed: an optional peer")
    inputs = [x.cuda() for x in single(arguments(2, 200, 4, 64))]
    inputs = [x.detach().requires_grad_() for x in inputs]

    def theirs(*along):
        *tokens, state = along
        y, last = fla.chunk_rwkv7(*tokens, initial_state=state.mT, output_final_state=True)
        return y, last.mT

    check(results(chunked(FAST), inputs), [x.double() for x in results(theirs, inputs)], 1e-2, 2e-2)
