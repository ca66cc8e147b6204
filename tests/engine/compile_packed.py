"""What `test_compile` compiles of products with packed weights: the widths of a 2.9B model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.ffn_value.packed import ffn_value_packed
from engine.ops.linear.packed import linear_packed
from tests.engine.compiling import meta

if TYPE_CHECKING:
    from torch import Tensor

ROWS = (2, 63, 64)  # the largest of each way; one row is two without the second
C, F = 2560, 10240


def packed(rows: int, width: int, bits: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    stored, group = (torch.int8, 64) if bits == 8 else (torch.uint8, 32)
    (values,) = meta((rows, width * bits // 8), dtype=stored)
    (scale,) = meta((rows, width // group), dtype=dtype)
    return values, scale


def products(dtype: torch.dtype, bits: int) -> None:
    for M in ROWS:
        (x,), (hidden,) = meta((M, C), dtype=dtype), meta((M, F), dtype=dtype)
        linear_packed(x, *packed(F, C, bits, dtype))
        ffn_value_packed(hidden, *packed(F, C, bits, dtype))


def int8(dtype: torch.dtype) -> None:
    products(dtype, 8)


def int4(dtype: torch.dtype) -> None:
    products(dtype, 4)
