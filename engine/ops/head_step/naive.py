"""The same, operation by operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.head_step.arguments import HeadStates, HeadStep

LOG_W_SCALE = -0.606531  # as of `engine.models.rwkv7`


def head_step_naive(rkv: Tensor, hidden: Tensor, w: HeadStep, states: HeadStates, y: Tensor) -> None:
    """rkv [B,3,C], hidden [B,R] fp32 (`time_mix_in`) → y [B,C] fp32 and the states, in place; all in fp32."""
    B, _, H, N = rkv.shape[0], 3, *w.r_k.shape
    of_w, of_a, of_v, of_g = (
        h @ columns.float().mT
        for h, columns in zip(hidden.split(w.ranks, 1), w.low_rank.split(w.ranks, 1), strict=True)
    )
    decay = torch.exp(LOG_W_SCALE * torch.sigmoid(w.w0.float() + of_w)).view(B, H, N)
    iclr = torch.sigmoid(w.a0.float() + of_a)
    r, k, v = rkv.unbind(1)
    kappa = F.normalize((k * w.k_k.float()).view(B, H, N), dim=-1)
    k = torch.lerp(k, k * iclr, w.k_a.float())
    if w.ranks.v:
        v = torch.lerp(v, states.v_first, torch.sigmoid(w.v0.float() + of_v))
    else:
        states.v_first.copy_(v)
    r, k, v, iclr = (x.view(B, H, N) for x in (r, k, v, iclr))
    removed = torch.einsum("bhvk,bhk->bhv", states.wkv, -kappa)
    new = states.wkv * decay[:, :, None] + removed[..., None] * (kappa * iclr)[:, :, None]
    states.wkv.copy_(new + v[..., None] * k[:, :, None])
    states.shift.copy_(states.normed)
    out = torch.einsum("bhvk,bhk->bhv", states.wkv, r).reshape(B, H * N)
    out = F.group_norm(out, H, w.norm.weight.float(), w.norm.bias.float(), w.norm.eps)
    bonus = (r * k * w.r_k.float()).sum(-1, keepdim=True) * v
    y.copy_((out + bonus.view(B, H * N)) * of_g)
