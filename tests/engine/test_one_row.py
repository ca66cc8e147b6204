"""Products with one row on a CPU: every way gives what the numbers that the weight stands for give."""

from __future__ import annotations

import pytest
import torch

from engine.models.int8 import quantised
from engine.ops.linear import linear
from engine.ops.linear.alone import Alone, _ready, alone, make_ready, ready_matrix
from engine.ops.linear.digits import FINE, DigitRow, DigitRows, rows_for, works
from engine.ops.linear.int4 import Int4Row, linear_int4_many_rows
from engine.ops.linear.one_row import NativeRow, PlainRow, Rows, linear_native, native, takes_native
from engine.ops.linear.ways import CommonRow, one_row
from engine.ops.wkv7 import wkv7_naive
from engine.ops.wkv7.one import Wkv7One
from engine.quant import pack4, pack8, unpack4

BF16 = 2.0**-8  # one rounding to bf16, relative, at most
SHAPES = [(16, 32), (48, 96), (80, 64), (512, 1024), (64, 4096)]


def made(N: int, K: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(N * K)
    return torch.randn(N, K, generator=rng), torch.randn(1, K, generator=rng)


def product(matrix, x: torch.Tensor, N: int) -> torch.Tensor:
    """As a step calls it, the row among others."""
    rows = rows_for(matrix, 3, x.shape[1], x.dtype)
    rows.x[1] = x[0]
    rows.ready()
    out = torch.full((N,), float("nan"), dtype=matrix.dtype)
    matrix(rows, 1, out)
    return out * rows.step


def error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found.double() - truth).norm() / truth.norm())


@pytest.mark.parametrize("kind", [PlainRow, NativeRow])
@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, BF16 / 2), (torch.float16, 1e-3)]
)
@pytest.mark.parametrize(("N", "K"), [*SHAPES, (7, 3)])
def test_plain_weights(kind, dtype, bound, N, K):
    weight, x = (each.to(dtype) for each in made(N, K))
    assert error(product(kind(weight), x, N), (x.double() @ weight.double().mT)[0]) <= bound


@torch.inference_mode()
def test_one_row_of_16_bits_takes_the_loop_of_its_own():
    weight, x = (each.bfloat16() for each in made(80, 64))
    found = linear(x.view(1, 1, 64), weight)
    assert found.shape == (1, 1, 80)
    assert torch.equal(found.view(-1), linear_native(x, weight)[0])
    assert takes_native(x, weight)
    assert not takes_native(x.expand(2, -1), weight)
    assert not takes_native(x.float(), weight.float())
    with torch.inference_mode(mode=False):
        assert not takes_native(x, weight)  # it may be asked for a gradient


def test_onednn_is_on_again_whatever_happens():
    def fails() -> None:
        with native():
            assert not torch._C._get_mkldnn_enabled()
            raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        fails()
    assert torch._C._get_mkldnn_enabled()


@pytest.mark.parametrize(("N", "K"), [*SHAPES, (1, 1), (7, 3), (5, 33)])
def test_two_digits_are_as_exact_as_the_weights(N, K):
    """Far below a rounding to bf16: an activation is off by 1/15,876 of the largest at most."""
    weight, x = made(N, K)
    values, scale = quantised(weight)
    found = product(DigitRow(values, scale), x, N)
    truth = (x.double() @ (values.double() * scale.double()[:, None]).mT)[0]
    bound = x.abs().max() / (63 * FINE * 2) * (values.double().abs() * scale.double()[:, None]).sum(1)
    assert bool(((found.double() - truth).abs() <= bound * 1.01 + 1e-5 * truth.abs()).all())
    assert K < 32 or error(found, truth) <= BF16 / 4


def test_the_operator_is_checked_before_it_is_used():
    assert works()


def test_digits_of_zeros_and_of_what_is_no_number():
    values, scale = quantised(torch.randn(16, 32))
    matrix = DigitRow(values, scale)
    assert not product(matrix, torch.zeros(1, 32), 16).any()
    for bad in (float("nan"), float("inf")):
        x = torch.ones(1, 32)
        x[0, 3] = bad
        assert bool(product(matrix, x, 16).isnan().all())
    assert bool(product(matrix, torch.full((1, 32), 1e-30), 16).isfinite().all())


def test_the_worst_sums_do_not_overflow():
    """All products of one sign, the largest there are: 16 bits would be full at two."""
    values = torch.full((4, 4096), 127, dtype=torch.int8)
    found = product(DigitRow(values, torch.ones(4)), torch.full((1, 4096), -2.0), 4)
    assert torch.allclose(found, torch.full((4,), -2.0 * 127 * 4096), rtol=1e-6)


@pytest.mark.parametrize(("N", "K"), SHAPES)
def test_four_bits(N, K):
    weight, x = made(N, K)
    x = x.bfloat16()
    values, scale = pack4(weight, torch.bfloat16)
    truth = (x.double() @ unpack4(values, scale).double().mT)[0]
    assert error(product(Int4Row(values, scale), x, N), truth) <= BF16
    assert error(linear_int4_many_rows(x.expand(20, -1), values, scale)[7], truth) <= 3 * BF16


def test_which_is_taken():
    weight, x = made(32, 64)
    four, eight = pack4(weight, torch.bfloat16), pack8(weight, torch.bfloat16)
    assert isinstance(one_row(weight), PlainRow)
    assert isinstance(one_row(weight.bfloat16()), NativeRow)
    assert isinstance(one_row(*quantised(weight)), DigitRow)
    assert isinstance(one_row(*four), Int4Row)
    assert isinstance(one_row(*eight), CommonRow)  # a card's form: the plain product
    assert isinstance(one_row(four[0][:17], four[1][:17]), CommonRow)  # not of whole blocks
    assert isinstance(rows_for(one_row(*quantised(weight)), 1, 64, torch.bfloat16), DigitRows)
    assert type(rows_for(one_row(*four), 1, 64, torch.bfloat16)) is Rows
    found = product(one_row(*eight), x.bfloat16(), 32)
    assert torch.equal(found, linear(x.bfloat16(), *eight)[0])


@torch.inference_mode()
def test_a_matrix_that_was_made_ready_serves_one_row_of_any_shape():
    weight, x = made(48, 64)
    values, scale = quantised(weight)
    make_ready(values, scale, torch.bfloat16)
    x = x.bfloat16().view(1, 1, 64)
    found = alone(x, values)
    assert isinstance(found, Alone)
    assert found(x).shape == (1, 1, 48)
    assert error(found(x).view(-1), linear(x, values, scale).double().view(-1)) <= 2 * BF16
    assert ready_matrix(values, scale) is found.matrix
    assert alone(x.expand(1, 2, 64), values) is None
    assert alone(x, values.clone()) is None
    with torch.inference_mode(mode=False):
        assert alone(x, values) is None  # its memory could not be written to in a graph


@pytest.mark.parametrize("made", [quantised, lambda rows: pack4(rows, torch.bfloat16)])
def test_a_weight_that_is_gone_is_forgotten(made):
    before = len(_ready)
    values, scale = made(torch.randn(16, 32))
    make_ready(values, scale, torch.bfloat16)
    assert len(_ready) == before + 1
    del values
    assert len(_ready) == before


def test_one_token_of_wkv7():
    H, N, T = 3, 16, 30
    rng = torch.Generator().manual_seed(0)
    r, k, v, a = torch.randn(4, 1, T, H, N, generator=rng).unbind(0)
    a = torch.nn.functional.normalize(a, dim=-1)
    b = -a * torch.rand(1, T, H, N, generator=rng)
    log_w = -0.6 * torch.rand(1, T, H, N, generator=rng)
    state = torch.randn(1, H, N, N, generator=rng)
    truth, last = wkv7_naive(r, log_w, k, v, a, b, state)
    one, old = Wkv7One(torch.zeros(H, N)), state[0]
    for t in range(T):
        vectors = {"r": r, "decay": log_w.exp(), "k": k, "v": v, "a": a, "b": b}
        for name, x in vectors.items():
            getattr(one, name).copy_(x[0, t])
        before, new = old.clone(), torch.empty_like(old)
        y = one(old, new)
        torch.testing.assert_close(y, truth[0, t], rtol=1e-5, atol=1e-4)
        assert torch.equal(old, before)
        old = new
    torch.testing.assert_close(old, last[0], rtol=1e-5, atol=1e-4)
