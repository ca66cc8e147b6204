"""int8 weights on a CPU, activations in bf16.

PyTorch's own operator reads the weight where it lies and gives each row of x the same result however many
there are. It is the quicker one for few rows only; for more of them the weight is turned into bf16, which has
all whole numbers up to 256, and the bf16 product is scaled.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor

FEW_ROWS = 8  # from here to 16 on the two change places, by shape (tests/bench/README.md)
# the operator reads 16 numbers at once from addresses that it takes for aligned; at others the process dies
_STEP = 32
_ALIGNED = 64


def takes_few_rows(x: Tensor, weight: Tensor) -> bool:
    """Whether x [.., K] and weight [N,K] are for `linear_few_rows`."""
    K = x.shape[-1]
    return x.numel() <= FEW_ROWS * K and K % _STEP == 0 and _is_aligned(x) and _is_aligned(weight)


def _is_aligned(x: Tensor) -> bool:
    return x.data_ptr() % _ALIGNED == 0 and x.is_contiguous()


def linear_few_rows(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x bf16 [.., K], K a multiple of 32, weight int8 [N,K], scale bf16 [N] → [.., N]."""
    rows = x.reshape(-1, x.shape[-1])
    product = torch._weight_int8pack_mm(rows, weight, scale)  # noqa: SLF001  torch has no public name for it  # pyright: ignore[reportPrivateImportUsage]
    return product.view(*x.shape[:-1], -1)


def linear_many_rows(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The same for any K; takes 2·N·K bytes for a moment."""
    return product_many(x, weight.to(x.dtype)) * scale


@functools.cache
def has_bf16_products() -> bool:
    """Whether oneDNN multiplies bf16 matrices on this CPU. Elsewhere PyTorch does, number by number."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  torch has no public name for it
    except (AttributeError, RuntimeError):  # a PyTorch without oneDNN
        return False


def product_many(x: Tensor, weight: Tensor) -> Tensor:
    """x [.., K], weight [N,K] of x's dtype → [.., N]: in fp32 where the CPU has no product in bf16.

    The weight in fp32 takes 4·N·K bytes for a moment, which a prompt of many tokens makes good.
    """
    if x.dtype != torch.bfloat16 or has_bf16_products():
        return F.linear(x, weight)
    return F.linear(x.float(), weight.float()).to(x.dtype)
