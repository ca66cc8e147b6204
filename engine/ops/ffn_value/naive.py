"""The matrix product, zeros and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.quant import unpack

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.matrix import Matrix


def ffn_value_naive(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [.., F], weight [C,F] → [.., C]."""
    return hidden @ weight.mT  # not F.linear: it is slower where the weight is turned


def ffn_value_packed_naive(hidden: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """hidden [.., F], weight and scale packed (`engine.quant`, rows [F,C]) → [.., C], rounded once."""
    return (hidden.float() @ unpack(weight, scale)).to(hidden.dtype)


def ffn_value_add_naive(hidden: Tensor, matrix: Matrix, x: Tensor, normed: Tensor, shift: Tensor) -> None:
    """hidden [B,F] fp32, matrix [F,C] (a row is a unit): x [B,C] fp32 += their product, in place, in fp32.

    And the channel mix's end: `shift` [B,C] becomes `normed` [B,C] fp32.
    """
    x += hidden @ matrix.numbers()
    shift.copy_(normed)
