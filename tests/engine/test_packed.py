"""Products with packed weights: each kernel, in Triton's interpreter, against the plain product."""

from __future__ import annotations

import pytest
import torch

from engine.ops.ffn_value import ffn_value
from engine.ops.ffn_value.naive import ffn_value_packed_naive
from engine.ops.linear import linear
from engine.ops.linear.naive import linear_packed_naive
from engine.quant import pack4, pack8, unpack

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.ops.ffn_value.packed import ffn_value_packed
from engine.ops.linear.packed import linear_packed
from engine.ops.packed.unpacked import unpacked

DTYPES = [torch.bfloat16, torch.float16]
PACKS = {"int8": pack8, "int4": pack4}
# by norms: rounding of the result and of scaled numbers before a product. Triton's interpreter cuts bf16 off
# where a card rounds.
FARTHEST = {torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
# rows of activations: every way that is taken, and its first and last
ROWS = [1, 2, 3, 17, 63, 64]
SHAPES = [(1, 64), (5, 128), (33, 192), (10, 320)]  # outputs (units), numbers of a row
# every way with every form and shape, in one of the dtypes by turns; with --long in both
CASES = [
    pytest.param(M, *shape, form, dtype, marks=[pytest.mark.long] * ((a + b + c + d) % 2))
    for a, M in enumerate(ROWS)
    for b, shape in enumerate(SHAPES)
    for c, form in enumerate(PACKS)
    for d, dtype in enumerate(DTYPES)
]


def weight(form: str, R: int, W: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(R * W)
    return PACKS[form](torch.randn(R, W, generator=rng) / W**0.5, dtype)


def near(found: torch.Tensor, expected: torch.Tensor) -> None:
    bound = FARTHEST[found.dtype]
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    found, expected = found.double(), expected.double()
    assert float((found - expected).norm()) <= bound * float(expected.norm())


def activations(M: int, K: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(M, K, generator=torch.Generator().manual_seed(M * K)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", PACKS)
@pytest.mark.parametrize(("R", "W"), SHAPES)
def test_written_out(R, W, form, dtype):
    values, scale = weight(form, R, W, dtype)
    near(unpacked(values, scale), unpack(values, scale).to(dtype))


@pytest.mark.parametrize(("M", "N", "K", "form", "dtype"), CASES)
def test_linear(M, N, K, form, dtype):
    x, packed = activations(M, K, dtype), weight(form, N, K, dtype)
    near(linear_packed(x, *packed), linear_packed_naive(x, *packed))


def hidden_units(M: int, F: int, dtype: torch.dtype, zeros: float = 0.86) -> torch.Tensor:
    rng = torch.Generator().manual_seed(M * F)
    return (torch.rand(M, F, generator=rng) * (torch.rand(M, F, generator=rng) >= zeros)).to(dtype)


@pytest.mark.parametrize(("M", "F", "C", "form", "dtype"), CASES)
def test_ffn_value(M, F, C, form, dtype):
    hidden, packed = hidden_units(M, F, dtype), weight(form, F, C, dtype)
    near(ffn_value_packed(hidden, *packed), ffn_value_packed_naive(hidden, *packed))


@pytest.mark.parametrize("form", PACKS)
@pytest.mark.parametrize("zeros", [0.0, 0.5, 1.0])
def test_many_units_in_several_parts(form, zeros):
    hidden, packed = hidden_units(2, 530, torch.bfloat16, zeros), weight(form, 530, 64, torch.bfloat16)
    near(ffn_value_packed(hidden, *packed), ffn_value_packed_naive(hidden, *packed))


@pytest.mark.parametrize("form", PACKS)
def test_rows_of_units_that_are_zero_are_not_read(form):
    """They may hold anything."""
    hidden, (values, scale) = hidden_units(1, 40, torch.bfloat16), weight(form, 40, 128, torch.bfloat16)
    before = ffn_value_packed(hidden, values, scale)
    scale[hidden[0] == 0] = torch.nan
    assert torch.equal(ffn_value_packed(hidden, values, scale), before)


@pytest.mark.parametrize("M", [1, 5])
def test_gradients_reach_the_activations(M):
    packed = weight("int8", 24, 64, torch.bfloat16)
    x = activations(M, 64, torch.bfloat16).requires_grad_()
    (grad,) = torch.autograd.grad(linear_packed(x, *packed).float().sum(), x)
    near(grad[0], unpack(*packed).sum(0).bfloat16())


@pytest.mark.parametrize("shape", [(64,), (1, 64), (1, 1, 64), (2, 3, 64)])
def test_any_leading_axes(shape):
    x, packed = activations(1, 6 * 64, torch.bfloat16).view(-1)[: torch.Size(shape).numel()], None
    packed = weight("int4", 7, 64, torch.bfloat16)
    found = linear_packed(x.view(shape), *packed)
    near(found, linear_packed_naive(x.view(shape), *packed))


@pytest.mark.gpu
@pytest.mark.parametrize("form", PACKS)
@pytest.mark.parametrize("M", [1, 2, 3, 16, 33, 63, 64, 256])
@pytest.mark.parametrize(("C", "F"), [(768, 3072), (2048, 8192), (2560, 8960), (4096, 16384)])
def test_on_a_card(M, C, F, form):
    """The widths of released models, through the operations' own choice."""
    dtype = torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    values, scale = (each.cuda() for each in weight(form, F, C, dtype))
    x, hidden = activations(M, C, dtype).cuda(), hidden_units(M, F, dtype).cuda()
    near(linear(x, values, scale), linear_packed_naive(x, values, scale))
    near(ffn_value(hidden, values, scale), ffn_value_packed_naive(hidden, values, scale))
