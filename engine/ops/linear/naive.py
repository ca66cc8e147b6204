"""The product with the numbers that a quantised weight stands for, in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.quant import unpack

if TYPE_CHECKING:
    from torch import Tensor


def linear_naive(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x [.., K], weight int8 [N,K], scale [N] → [.., N], rounded once to x's dtype."""
    numbers = weight.float() * scale.float()[:, None]
    return (x.float() @ numbers.mT).to(x.dtype)


def linear_packed_naive(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x [.., K], weight and scale packed (`engine.quant`, rows [N,K]) → [.., N], rounded once."""
    return (x.float() @ unpack(weight, scale).mT).to(x.dtype)
