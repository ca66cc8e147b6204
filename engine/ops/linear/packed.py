"""Which way a product with a packed weight is computed on a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops.linear.triton_dot import linear_dot
from engine.ops.linear.triton_gemv import MOST, linear_gemv
from engine.ops.packed.unpacked import is_for_library, unpacked

if TYPE_CHECKING:
    from torch import Tensor


def linear_packed(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """As `linear_packed_naive`; x bf16 or fp16. Gradients reach x."""
    rows = x.reshape(-1, x.shape[-1])
    if is_for_library(rows, MOST):
        return F.linear(x, unpacked(weight, scale))
    product = (linear_gemv if len(rows) <= MOST else linear_dot)(rows.contiguous(), weight, scale)
    return product.view(*x.shape[:-1], -1)
