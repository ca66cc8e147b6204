"""wkv6, token by token: the reference that the fast form is compared with, and the decode step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def wkv6_step(
    r: Tensor, decay: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One token.  r, decay, k: [B,H,K], v: [B,H,V], u: [H,K], state: [B,H,V,K], all of one dtype.

    Returns y [B,H,V] and the new state; the old one is not changed.
    """
    B, H, V, K = state.shape
    old = state.reshape(-1, V, K)
    read = torch.bmm(old, r.reshape(-1, K, 1)).view(B, H, V)
    y = torch.addcmul(read, (r * u * k).sum(-1, keepdim=True), v)
    new = torch.baddbmm(old * decay.reshape(-1, 1, K), v.reshape(-1, V, 1), k.reshape(-1, 1, K))
    return y, new.view(state.shape)


def wkv6_naive(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv6.wkv6`; differentiable by plain autograd."""
    r, log_w, k, v, u = (x.to(state.dtype) for x in (r, log_w, k, v, u))
    decay = log_w.exp()
    ys = []
    for r_t, d_t, k_t, v_t in zip(*(x.unbind(1) for x in (r, decay, k, v)), strict=True):
        y, state = wkv6_step(r_t, d_t, k_t, v_t, u, state)
        ys.append(y)
    if not ys:
        return torch.zeros_like(v), state.clone()
    return torch.stack(ys, dim=1), state
