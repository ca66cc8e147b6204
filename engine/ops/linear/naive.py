"""The product with the numbers that an int8 weight stands for, in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def linear_naive(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x [.., K], weight int8 [N,K], scale [N] → [.., N], rounded once to x's dtype."""
    numbers = weight.float() * scale.float()[:, None]
    return (x.float() @ numbers.mT).to(x.dtype)
