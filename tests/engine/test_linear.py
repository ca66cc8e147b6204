"""Products with int8 weights: every way gives what the numbers that they stand for give."""

from __future__ import annotations

import pytest
import torch

from engine.models.int8 import quantised
from engine.ops import ffn_value as value_op
from engine.ops import linear as op
from engine.ops.ffn_value import byte_rows, ffn_value
from engine.ops.linear import cpu, linear
from engine.ops.linear.cpu import linear_few_rows, linear_many_rows
from engine.ops.linear.naive import linear_naive
from engine.quant import pack4

BF16 = 2.0**-8  # one rounding to bf16, relative, at most
SHAPES = [(1, 32), (7, 32), (33, 64), (128, 96), (50, 256), (1000, 32), (512, 1024)]
ODD = [(1, 1), (7, 3), (5, 33), (40, 40), (3, 100)]


def made(N: int, K: int, rows: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(N * K + rows)
    values, scale = quantised(torch.randn(N, K, generator=rng) * torch.rand(N, 1, generator=rng))
    return torch.randn(rows, K, generator=rng).bfloat16(), values, scale


def exact(x: torch.Tensor, values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return x.double() @ (values.double() * scale.double()[:, None]).mT


@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize(("N", "K"), SHAPES)
def test_few_rows_agree_with_the_plain_product(N, K, rows):
    x, values, scale = made(N, K, rows)
    truth = exact(x, values, scale)
    naive = linear_naive(x, values, scale)
    found = linear_few_rows(x, values, scale)
    assert found.dtype == naive.dtype == torch.bfloat16
    assert (naive.double() - truth).norm() <= BF16 * truth.norm()
    assert (found.double() - truth).norm() <= 2 * BF16 * truth.norm()


@pytest.mark.parametrize("rows", [1, 9, 65])
@pytest.mark.parametrize(("N", "K"), [*SHAPES, *ODD])
def test_many_rows_agree_with_the_plain_product(N, K, rows):
    x, values, scale = made(N, K, rows)
    truth = exact(x, values, scale)
    assert (linear_naive(x, values, scale).double() - truth).norm() <= BF16 * truth.norm()
    assert (linear_many_rows(x, values, scale).double() - truth).norm() <= 2 * BF16 * truth.norm()


@pytest.mark.parametrize(("N", "K"), [*SHAPES, *ODD])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (3, 7)])
def test_any_shape_is_multiplied(shape, N, K):
    """Widths that the quick operator cannot read among them."""
    x, values, scale = made(N, K, torch.Size(shape).numel())
    found = linear(x.view(*shape, K), values, scale)
    truth = exact(x, values, scale)
    assert found.shape == (*shape, N)
    assert (found.double().view(-1, N) - truth).norm() <= 2 * BF16 * truth.norm()


def test_memory_that_is_not_aligned_is_not_given_to_the_operator():
    """It would end the process: mapped files, slices."""
    x, values, scale = made(64, 64)
    crooked = torch.empty(values.numel() + 8, dtype=torch.int8)[8:].view(64, 64).copy_(values)
    shifted = torch.empty(65, dtype=torch.bfloat16)[1:].view(1, 64).copy_(x)
    for each, weight in ((x, crooked), (shifted, values)):
        torch.testing.assert_close(
            linear(each, weight, scale), linear(x, values, scale), rtol=0.02, atol=0.02
        )


@torch.inference_mode()
def test_a_processor_without_bf16_products_multiplies_in_fp32(monkeypatch):
    """The same numbers, rounded once: 16-bit, 8-bit and 4-bit weights."""
    x, values, scale = made(64, 64, 20)
    weights = (values.bfloat16(), None), (values, scale), pack4(values.float(), torch.bfloat16)
    before = [linear(x, *each) for each in weights]
    monkeypatch.setattr(cpu, "has_bf16_products", lambda: False)
    for each, expected in zip(weights, before, strict=True):
        assert (linear(x, *each) - expected).norm() <= 2 * BF16 * expected.norm()


def test_rows_do_not_depend_on_each_other():
    x, values, scale = made(200, 64, 8)
    alone = torch.cat([linear(row[None], values, scale) for row in x])
    assert torch.equal(linear(x, values, scale), alone)


def chosen(monkeypatch, x, *weight) -> str:
    names = []
    for name in ("few_rows", "many_rows", "naive"):
        monkeypatch.setattr(op, f"linear_{name}", lambda *_, name=name: names.append(name))
    linear(x, *weight)
    return names[0] if names else "plain"


def test_which_is_taken(monkeypatch):
    x, *weight = made(10, 64)
    assert chosen(monkeypatch, x, *weight) == "few_rows"
    assert chosen(monkeypatch, made(10, 64, 9)[0], *weight) == "many_rows"
    assert chosen(monkeypatch, *made(10, 40)) == "many_rows"  # K in steps of 32 only
    assert chosen(monkeypatch, x.float(), *weight) == "naive"
    assert chosen(monkeypatch, x, weight[0].bfloat16()) == "plain"


# -------------------------------------------------------------------------------------------- quantising


def test_a_number_is_off_by_half_a_step_at_most():
    """But for the largest of a row, whose scale was rounded to bf16: one part in 512 of it."""
    rows = torch.randn(300, 200)
    values, scale = quantised(rows)
    assert int(values.min()) >= -127
    step = scale.float()[:, None]
    off = (values.float() * step - rows).abs()
    assert bool((off <= 0.5 * step + rows.abs().amax(1, keepdim=True) / 512).all())


def test_zeros_and_the_largest_numbers_stay_finite():
    rows = torch.tensor([[0.0, 0.0], [3e38, -1.0], [1e-38, 0.0]])
    values, scale = quantised(rows)
    assert bool(torch.isfinite(values.float() * scale.float()[:, None]).all())
    assert values[0].tolist() == [0, 0]
    assert values[1].tolist() == [127, 0]


# ---------------------------------------------------------------------------- the channel mix's second matrix


def byte_weight(F: int, C: int, zeros: float, rows: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(F * C)
    weight = byte_rows.joined(*quantised(torch.randn(F, C, generator=rng)))
    hidden = torch.rand(1, rows, F, generator=rng) * (torch.rand(1, rows, F, generator=rng) >= zeros)
    return hidden.bfloat16(), weight


def test_joined_rows_part_again():
    values, scale = quantised(torch.randn(9, 5))
    numbers, found = byte_rows.parted(byte_rows.joined(values, scale), torch.float32)
    assert torch.equal(numbers, values.float())
    assert torch.equal(found, scale.float())


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.86, 1.0])
@pytest.mark.parametrize(("F", "C"), [(1, 1), (7, 3), (64, 33), (448, 128), (2048, 512)])
def test_byte_rows_agree_with_the_product(F, C, zeros):
    """One token's sum is as exact as the plain product: only its end is rounded to bf16."""
    hidden, weight = byte_weight(F, C, zeros)
    numbers, scale = byte_rows.parted(weight, torch.float64)
    truth = hidden.double() @ (numbers * scale.double()[:, None])
    naive = byte_rows.ffn_value_bytes_naive(hidden, weight)
    one = byte_rows.ffn_value_bytes_one(hidden, weight)
    many = byte_rows.ffn_value_bytes_many(hidden, weight)
    assert one.shape == naive.shape == many.shape == (1, 1, C)
    assert (naive.double() - truth).norm() <= BF16 * truth.norm()
    assert (one.double() - truth).norm() <= BF16 * truth.norm()
    assert (many.double() - truth).norm() <= 3 * BF16 * truth.norm()


def test_bytes_of_zeros_are_not_read():
    """Rows of units that are zero may hold anything."""
    hidden, weight = byte_weight(64, 32, 0.5)
    before = ffn_value(hidden, weight)
    weight[hidden.view(-1) == 0] = 255  # their scales are NaN now
    assert torch.equal(ffn_value(hidden, weight), before)


def test_one_token_reads_rows_and_many_do_not(monkeypatch):
    names = []
    for name in ("one", "many", "naive"):
        monkeypatch.setattr(value_op, f"ffn_value_bytes_{name}", lambda *_, name=name: names.append(name))
    ffn_value(*byte_weight(64, 32, 0.5))
    ffn_value(*byte_weight(64, 32, 0.5, rows=2))
    assert names == ["one", "many"]
