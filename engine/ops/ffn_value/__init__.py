"""The channel mix's second matrix, on activations most of which are zero: hidden [.., F] · weight [C,F]ᵀ.

After the squared ReLU 86 to 90 % of a trained model's hidden units are exactly zero for a token. Where the
weight lies so that a unit's C numbers are side by side ([F,C] in memory, seen as [C,F]), one token's product
reads the rows of the other units only. That is the decode step of a large model on a CPU. A weight of bytes
(`byte_rows`) and a packed one (`engine.quant`) lie that way always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops import kernels
from engine.ops.ffn_value.byte_rows import (
    ffn_value_bytes_many,
    ffn_value_bytes_naive,
    ffn_value_bytes_one,
)
from engine.ops.ffn_value.naive import ffn_value_naive, ffn_value_packed_naive
from engine.ops.ffn_value.rows import ffn_value_rows
from engine.ops.linear.frozen import linear_frozen, wants_frozen

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ffn_value"]


def ffn_value(hidden: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
    """hidden [.., F] → [.., C].

    Args:
        weight: [C,F] of the same dtype; or uint8 [F, C + 8], as `byte_rows.joined` makes it; or packed, rows
            [F,C], with `scale` [F,C/64 or C/32].
    """
    if scale is not None and wants_frozen(hidden, weight, scale):
        return linear_frozen(hidden, weight, scale, turned=True)
    if scale is not None:
        return _packed(hidden, weight, scale)
    if weight.dtype == torch.uint8:
        return _of_bytes(hidden, weight)
    one_token = hidden.numel() == weight.shape[1]
    trained = torch.is_grad_enabled() and (weight.requires_grad or hidden.requires_grad)
    if weight.device.type == "cpu" and one_token and _rows_are_together(weight) and not trained:
        return ffn_value_rows(hidden, weight)
    return ffn_value_naive(hidden, weight)


def _packed(hidden: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    if not kernels.usable(weight):
        return ffn_value_packed_naive(hidden, weight, scale)
    from engine.ops.ffn_value.packed import ffn_value_packed  # Triton, see `engine.ops.linear`

    return ffn_value_packed(hidden, weight, scale)


def _of_bytes(hidden: Tensor, rows: Tensor) -> Tensor:
    if rows.device.type != "cpu":
        return ffn_value_bytes_naive(hidden, rows)
    one_token = hidden.numel() == rows.shape[0]
    return (ffn_value_bytes_one if one_token else ffn_value_bytes_many)(hidden, rows)


def _rows_are_together(weight: Tensor) -> bool:
    """Whether all numbers of a hidden unit lie side by side."""
    return weight.stride() == (1, weight.shape[0])
