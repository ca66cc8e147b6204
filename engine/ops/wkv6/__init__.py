"""wkv6, the recurrence of RWKV-5 and RWKV-6: S ← S·diag(exp(log_w)) + v·kᵀ,  y = S·r + v·(kᵀ·diag(u)·r).

y reads S as it was before the token; the token's own part comes with the bonus u in the place of a decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.padding import blank
from engine.ops.wkv6.chunk import wkv6_chunk
from engine.ops.wkv6.naive import wkv6_naive

if TYPE_CHECKING:
    from torch import Tensor

# below this, stepping does less work than one padded chunk
SHORTEST_CHUNKED = 4


def wkv6(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    u: Tensor,
    state: Tensor,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The recurrence over any number of tokens, continued from `state`, which is not changed.

    Args:
        r, k: [B,T,H,K], any float dtype.  v: [B,T,H,V].
        log_w: [B,T,H,K], the logarithm of the decay, ≤ 0 and of any size (RWKV-5's is the same for all T).
        u: [H,K], the bonus.
        state: [B,H,V,K], fp32 (fp64 in gradient checks); all arithmetic is done in its dtype, or wider.
        lengths: [B]; the tokens of a row from its length on change no state, and their y means nothing.

    Returns:
        y [B,T,H,V] and the state after the last token, both in the state's dtype.
    """
    log_w, k = blank((log_w, k), lengths)
    needs_grad = torch.is_grad_enabled() and any(x.requires_grad for x in (r, log_w, k, v, u, state))
    if r.shape[1] < SHORTEST_CHUNKED and not needs_grad:
        return wkv6_naive(r, log_w, k, v, u, state)
    return wkv6_chunk(r, log_w, k, v, u, state)


__all__ = ["wkv6", "wkv6_chunk", "wkv6_naive"]
