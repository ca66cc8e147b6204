"""The same, operation by operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops.gemv.arguments import End, Mix, Norm

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.matrix import Matrix


def normed_naive(x: Tensor, norm: Norm) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.weight.float(), norm.bias.float(), norm.eps)


def project_naive(
    x: Tensor,
    matrix: Matrix,
    out: Tensor,
    *,
    norm: Norm | None = None,
    mix: Mix | None = None,
    end: End = End.STORE,
) -> None:
    """x [B,K] fp32, matrix [N,K] → out [B,N] fp32, in place; all in fp32."""
    if norm:
        x = normed_naive(x, norm)
    if mix:
        mix.normed.copy_(x)
        x = torch.lerp(x, mix.shift.float(), mix.share.float())
    y = x @ matrix.numbers().mT
    if end == End.ADD:
        out += y
    else:
        out.copy_(torch.relu(y).square() if end == End.SQUARED_RELU else y)
