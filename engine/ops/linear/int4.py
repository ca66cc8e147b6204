"""Packed 4-bit weights (`engine.quant`) on a CPU: PyTorch's operator for few rows, bf16 for many.

The operator wants nibbles in an order of its own, which depends on the processor; so they are put into it
where they are used, never in a file. It multiplies in fp32 and rounds once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.linear.cpu import product_many
from engine.quant import GROUP4, HALF4, ZERO4

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.linear.one_row import Rows

_PIECE = 1 << 22  # numbers that are in 32 bits at once
_ROWS = 64  # the operator's order is one of so many rows; pieces are whole ones
_multiply = torch.ops.aten._weight_int4pack_mm_for_cpu.default  # noqa: SLF001  torch has no public name for it
_reorder = torch.ops.aten._convert_weight_to_int4pack_for_cpu.default  # noqa: SLF001  torch has no public name for it


def takes_int4(weight: Tensor, scale: Tensor) -> bool:
    """Whether the operator takes a packed weight [N,K]: 4 bits, a bf16 scale, N of whole blocks."""
    return weight.dtype == torch.uint8 and scale.dtype == torch.bfloat16 and weight.shape[0] % 16 == 0


class Int4Row:
    """A packed matrix [N,K] for one row of bf16, see `OneRow`."""

    dtype = torch.bfloat16

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        rows = max(_ROWS, _PIECE // (2 * weight.shape[1]) // _ROWS * _ROWS)
        self._nibbles = torch.cat([_reorder(_numbers(part), 1) for part in weight.split(rows)])
        # a number is (nibble − 8) · scale + 0
        self._scales = torch.stack((scale.mT, torch.zeros_like(scale.mT)), dim=2).contiguous()

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        out.copy_(_multiply(rows.each[i][None], self._nibbles, GROUP4, self._scales)[0])


def _numbers(weight: Tensor) -> Tensor:
    """Nibbles in order, int32 [N,K]."""
    halves = weight.unflatten(1, (-1, HALF4))
    return torch.cat((halves & 0xF, halves >> 4), dim=2).flatten(1).to(torch.int32)


def linear_int4_many_rows(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x bf16 [.., K], packed weight [N,K] → [.., N]; takes a few times N·K bytes for a moment."""
    halves = weight.unflatten(1, (-1, HALF4))
    numbers = torch.cat((halves & 0xF, halves >> 4), dim=2).to(x.dtype).sub_(ZERO4)
    return product_many(x, numbers.mul_(scale[..., None]).flatten(1))
