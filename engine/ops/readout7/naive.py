"""The operations of PyTorch one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor

GROUP_NORM_EPS = 64e-5


def readout7_naive(
    y: Tensor, r: Tensor, k: Tensor, v: Tensor, gate: Tensor, r_k: Tensor, norm: tuple[Tensor, Tensor]
) -> Tensor:
    """y [M,H,N] fp32, r, k, v [M,H,N], gate [M,C], r_k [H,N], norm (weight, bias) [C] → [M,C]."""
    H = r.shape[1]
    normed = F.group_norm(y.reshape(gate.shape).to(gate.dtype), H, *norm, GROUP_NORM_EPS)
    bonus = (r * k * r_k).sum(-1, keepdim=True)
    return torch.addcmul(normed.view(v.shape), bonus, v).view(gate.shape) * gate
