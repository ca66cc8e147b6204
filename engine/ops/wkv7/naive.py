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
    removed = torch.matmul(state, a.unsqueeze(-1)).squeeze(-1)
    # the two rank-one updates (S·a)·bᵀ + v·kᵀ as one rank-two product
    columns, rows = torch.stack((removed, v), dim=-1), torch.stack((b, k), dim=-2)
    state = state * decay.unsqueeze(-2) + torch.matmul(columns, rows)
    return torch.matmul(state, r.unsqueeze(-1)).squeeze(-1), state


def wkv7_naive(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv7.wkv7`; differentiable by plain autograd."""
    r, log_w, k, v, a, b = (x.to(state.dtype) for x in (r, log_w, k, v, a, b))
    decay = log_w.exp()
    ys = []
    for t in range(r.shape[1]):
        y, state = wkv7_step(r[:, t], decay[:, t], k[:, t], v[:, t], a[:, t], b[:, t], state)
        ys.append(y)
    if not ys:
        return torch.zeros_like(v), state.clone()
    return torch.stack(ys, dim=1), state
