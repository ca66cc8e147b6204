"""wkv7, token by token: the reference that the fast forms are compared with, and the decode step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def wkv7_step(
    r: Tensor, decay: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One token.  r, decay, k, a, b: [B,H,K], v: [B,H,V], state: [B,H,V,K], all of one dtype.

    Returns y [B,H,V] and the new state; the old one is not changed.
    """
    B, H, V, K = state.shape
    rows = (B * H, 1, K)
    old, key, removal = state.reshape(-1, V, K), k.reshape(rows), b.reshape(rows)
    removed = torch.bmm(old, a.reshape(-1, K, 1))
    # the two rank-one updates (S·a)·bᵀ + v·kᵀ as one rank-two product
    left, right = torch.cat((removed, v.reshape(-1, V, 1)), dim=2), torch.cat((removal, key), dim=1)
    new = torch.baddbmm(old * decay.reshape(rows), left, right)
    return torch.bmm(new, r.reshape(-1, K, 1)).view(B, H, V), new.view(state.shape)


def wkv7_naive(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv7.wkv7`; differentiable by plain autograd."""
    r, log_w, k, v, a, b = (x.to(state.dtype) for x in (r, log_w, k, v, a, b))
    decay = log_w.exp()
    ys = []
    for r_t, d_t, k_t, v_t, a_t, b_t in zip(*(x.unbind(1) for x in (r, decay, k, v, a, b)), strict=True):
        y, state = wkv7_step(r_t, d_t, k_t, v_t, a_t, b_t, state)
        ys.append(y)
    if not ys:
        return torch.zeros_like(v), state.clone()
    return torch.stack(ys, dim=1), state
