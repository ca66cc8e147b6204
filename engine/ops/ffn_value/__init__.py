"""The channel mix's second matrix, on activations most of which are zero: hidden [.., F] · weight [C,F]ᵀ.

After the squared ReLU 86 to 90 % of a trained model's hidden units are exactly zero for a token. Where the
weight lies so that a unit's C numbers are side by side ([F,C] in memory, seen as [C,F]), one token's product
reads the rows of the other units only. That is the decode step of a large model on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.ffn_value.naive import ffn_value_naive
from engine.ops.ffn_value.rows import ffn_value_rows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ffn_value"]


def ffn_value(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [.., F], weight [C,F] of the same dtype → [.., C]."""
    one_token = hidden.numel() == weight.shape[1]
    trained = torch.is_grad_enabled() and (weight.requires_grad or hidden.requires_grad)
    if weight.device.type == "cpu" and one_token and _rows_are_together(weight) and not trained:
        return ffn_value_rows(hidden, weight)
    return ffn_value_naive(hidden, weight)


def _rows_are_together(weight: Tensor) -> bool:
    """Whether all numbers of a hidden unit lie side by side."""
    return weight.stride() == (1, weight.shape[0])
