"""Products with frozen weights in few bits, where a gradient is wanted: to the activations alone.

Neither direction keeps the weight written out: it is unpacked for the product, and again for the gradient.
So a model in training takes its packed weights and one matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.nf4 import is_nf4, unpack_nf4
from engine.quant import unpack

if TYPE_CHECKING:
    from torch import Tensor


def written_out(values: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The numbers of a weight in few bits, [R,W]: NF4, packed groups, or rows of int8 with a scale each."""
    if scale.ndim == 1:
        return values.to(dtype) * scale.to(dtype)[:, None]
    if is_nf4(values, scale):
        return unpack_nf4(values, scale, dtype)
    return unpack(values, scale).to(dtype)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, scale: Tensor, turned: bool) -> Tensor:
        ctx.save_for_backward(values, scale)
        ctx.turned = turned
        weight = written_out(values, scale, x.dtype)
        return F.linear(x, weight.mT if turned else weight)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]  one gradient, where the base takes any
        values, scale = ctx.saved_tensors
        weight = written_out(values, scale, dy.dtype)
        return F.linear(dy, weight if ctx.turned else weight.mT), None, None, None


def linear_frozen(x: Tensor, values: Tensor, scale: Tensor, *, turned: bool = False) -> Tensor:
    """x [.., K] times a weight in few bits, rows [N,K], or [K,N] where it lies turned → [.., N]."""
    return _Frozen.apply(x, values, scale, turned)  # pyright: ignore[reportReturnType]  apply is untyped


def wants_frozen(x: Tensor, values: Tensor, scale: Tensor) -> bool:
    """Whether a product is for `linear_frozen`: NF4 always is, others where a gradient is wanted."""
    if torch.is_grad_enabled() and x.requires_grad:
        return True
    return scale.ndim == 2 and is_nf4(values, scale)
