"""A matrix product, with a plain weight or a quantised one: x [.., K] · weight [N,K]ᵀ.

An int8 weight of the CPU has a scale for each of its rows: its numbers are values · scale. A packed one
(`engine.quant`) has a scale for each group of a row. Activations keep their dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops import kernels
from engine.ops.linear.cpu import linear_few_rows, linear_many_rows, product_many, takes_few_rows
from engine.ops.linear.frozen import linear_frozen, wants_frozen
from engine.ops.linear.int4 import linear_int4_many_rows
from engine.ops.linear.naive import linear_naive, linear_packed_naive
from engine.ops.linear.one_row import linear_native, takes_native

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["linear"]


def linear(x: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
    """x [.., K], weight [N,K] → [.., N], in x's dtype.

    Args:
        weight: of x's dtype; or int8, with `scale` [N] of x's dtype; or packed, with its `scale` [N,groups];
            or NF4 (`engine.nf4`).
    """
    if scale is None:
        return _plain(x, weight)
    if wants_frozen(x, weight, scale):
        return linear_frozen(x, weight, scale)
    if scale.ndim == 2:
        return _packed(x, weight, scale)
    if weight.device.type != "cpu" or x.dtype != torch.bfloat16:
        return linear_naive(x, weight, scale)
    return (linear_few_rows if takes_few_rows(x, weight) else linear_many_rows)(x, weight, scale)


def _plain(x: Tensor, weight: Tensor) -> Tensor:
    if weight.device.type != "cpu" or not torch.is_inference_mode_enabled():
        return F.linear(x, weight)
    return (linear_native if takes_native(x, weight) else product_many)(x, weight)


def _packed(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    if not kernels.usable(weight):
        is_int4 = not x.is_cuda and x.dtype == torch.bfloat16 and weight.dtype == torch.uint8
        return (linear_int4_many_rows if is_int4 else linear_packed_naive)(x, weight, scale)
    from engine.ops.linear.packed import linear_packed  # Triton, which a computer without a card may lack

    return linear_packed(x, weight, scale)
