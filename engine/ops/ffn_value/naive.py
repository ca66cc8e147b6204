"""The matrix product, zeros and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.quant import unpack

if TYPE_CHECKING:
    from torch import Tensor


def ffn_value_naive(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [.., F], weight [C,F] → [.., C]."""
    return hidden @ weight.mT  # not F.linear: it is slower where the weight is turned


def ffn_value_packed_naive(hidden: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """hidden [.., F], weight and scale packed (`engine.quant`, rows [F,C]) → [.., C], rounded once."""
    return (hidden.float() @ unpack(weight, scale)).to(hidden.dtype)
