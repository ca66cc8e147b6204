"""wkv6 in chunks of 16 tokens: matrix products inside the chunks, a short scan over them.

Within a chunk, with P_t the product of the decays up to token t (all per key channel) and rows for tokens:

    R̂ = r·P_{t−1}    K̂ = k/P_t    A = R̂·K̂ᵀ, kept where s < t, and Σ r·u·k on the diagonal
    Y = R̂·Sᵀ + A·V
    S ← S·diag(P_C) + Vᵀ·(k·P_C/P_t)

A decay may be as small as exp(−150), so 1/P overflows fp32 and a difference of two fp32 sums of logarithms
loses its digits. Hence A alone is made in fp64, from logarithms that are no less than −40 for a token: K̂
stays below exp(640), and a decay of exp(−40) forgets all that fp32 can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16
SMALLEST_LOG_W = -40.0


def _to_chunks(x: Tensor, dtype: torch.dtype) -> Tensor:
    """[B,T,H,N] → [n, B·H, C, N]; tokens of zeros at the end change no state (log_w 0 is decay 1)."""
    B, T, H, N = x.shape
    x = pad(x.to(dtype), (0, 0, 0, 0, 0, -T % CHUNK))
    return x.view(B, -1, CHUNK, H, N).permute(1, 0, 3, 2, 4).reshape(-1, B * H, CHUNK, N)


def _from_chunks(x: Tensor, B: int, T: int, H: int) -> Tensor:
    """[n, B·H, C, N] → [B,T,H,N]."""
    n, _, _, N = x.shape
    return x.view(n, B, H, CHUNK, N).permute(1, 0, 3, 2, 4).reshape(B, n * CHUNK, H, N)[:, :T]


def _bmm(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product over two leading axes, without matmul's broadcasting."""
    return torch.bmm(x.flatten(0, 1), y.flatten(0, 1)).unflatten(0, x.shape[:2])


def _scan(state: Tensor, totals: Tensor, updates: Tensor) -> Tensor:
    """The states at the chunks' starts and the last one, [n+1,G,V,K].  totals: [n,G,1,K]."""
    states = [state]
    for total, update in zip(totals.unbind(), updates.unbind(), strict=True):
        states.append(torch.addcmul(update, states[-1], total))
    return torch.stack(states)


def wkv6_chunk(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv6.wkv6`; differentiable by plain autograd."""
    B, T, H, _ = r.shape
    dtype = state.dtype
    if T == 0:
        return torch.zeros_like(v, dtype=dtype), state.clone()
    own = (r.to(dtype) * u.to(dtype) * k.to(dtype)).sum(-1, keepdim=True) * v.to(dtype)
    r, k, v = (_to_chunks(x, dtype) for x in (r, k, v))
    log_w = _to_chunks(log_w, torch.float64).clamp_min(SMALLEST_LOG_W)
    log_p = log_w.cumsum(-2)
    before = (log_p - log_w).exp()
    scores = _bmm(r * before, (k * (-log_p).exp()).mT).tril(-1).to(dtype)
    log_total = log_p[..., -1:, :]
    updates = _bmm(v.mT, k * (log_total - log_p).exp().to(dtype))
    states = _scan(state.flatten(0, 1), log_total.exp().to(dtype), updates)
    y = _bmm(r * before.to(dtype), states[:-1].mT) + _bmm(scores, v)
    return _from_chunks(y, B, T, H) + own, states[-1].view_as(state)
