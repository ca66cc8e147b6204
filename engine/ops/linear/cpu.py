"""int8 weights on a CPU, activations in bf16.

PyTorch's own operator reads the weight where it lies and gives each row of x the same result however many
there are. It is the quicker one for few rows only; for more of them the weight is turned into bf16, which has
all whole numbers up to 256, and the bf16 product is scaled.
"""

from __future__ import annotations

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
    product = torch._weight_int8pack_mm(rows, weight, scale)  # noqa: SLF001  # pyright: ignore[reportPrivateImportUsage]
    return product.view(*x.shape[:-1], -1)


def linear_many_rows(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The same for any K; takes 2·N·K bytes for a moment."""
    return F.linear(x, weight.to(x.dtype)) * scale
