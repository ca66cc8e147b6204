"""Rows of bytes: a hidden unit's C numbers as 0 … 255, then their scale and their offset in fp32.

A number is byte · scale + offset, and offset = −128 · scale: a byte is an int8 value + 128. That is the form
of PyTorch's sum of byte rows, which is as exact as a sum in fp32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

EXTRA = 8  # bytes after a row's numbers
ZERO = 128  # the byte that stands for 0


def joined(values: Tensor, scale: Tensor) -> Tensor:
    """values int8 [F,C], scale [F] → uint8 [F, C + 8]."""
    scale = scale.float()
    ends = torch.stack((scale, -ZERO * scale), dim=1).view(torch.uint8)
    return torch.cat(((values.to(torch.int16) + ZERO).to(torch.uint8), ends), dim=1)


def parted(rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The inverse: whole numbers [F,C] in `dtype`, scale fp32 [F]."""
    scale = (
        rows[:, -EXTRA : -EXTRA // 2]
        .clone(memory_format=torch.contiguous_format)
        .view(torch.float32)
        .view(-1)
    )
    return rows[:, :-EXTRA].to(dtype).sub_(ZERO), scale


def ffn_value_bytes_naive(hidden: Tensor, rows: Tensor) -> Tensor:
    """hidden [.., F], rows [F, C + 8] → [.., C]: the product in fp32, zeros and all, rounded once."""
    numbers, scale = parted(rows, torch.float32)
    return (hidden.float() @ (numbers * scale[:, None])).to(hidden.dtype)


def ffn_value_bytes_many(hidden: Tensor, rows: Tensor) -> Tensor:
    """The product in hidden's dtype; takes F·C numbers of it for a moment."""
    numbers, scale = parted(rows, hidden.dtype)
    return (hidden * scale).to(hidden.dtype) @ numbers


def ffn_value_bytes_one(hidden: Tensor, rows: Tensor) -> Tensor:
    """One token: the sum of the rows of those units that are not zero.  hidden [.., F] → [.., C]."""
    units = hidden.reshape(-1)
    active = units.nonzero().view(-1)
    start = torch.zeros(1, dtype=torch.int64)
    summed = torch.ops.quantized.embedding_bag_byte_rowwise_offsets(
        rows, active, start, False, 0, False, units[active].float(), None, False
    )
    return summed.view(*hidden.shape[:-1], -1).to(hidden.dtype)
