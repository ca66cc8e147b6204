"""wkv6, the recurrence of RWKV-5 and RWKV-6: S ← S·diag(exp(log_w)) + v·kᵀ,  y = S·r + v·(kᵀ·diag(u)·r).

y reads S as it was before the token; the token's own part comes with the bonus u in the place of a decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.chunk_states import fits_triton
from engine.ops.padding import blank
from engine.ops.wkv6.chunk import wkv6_chunk
from engine.ops.wkv6.naive import wkv6_naive

if TYPE_CHECKING:
    from torch import Tensor

# below this, stepping does less work than one padded chunk
SHORTEST_CHUNKED = 4
# the same on a card, where the sequential form is one launch and the chunk form three (not measured yet)
SHORTEST_CHUNKED_ON_CARD = 17


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
    needs_grad = torch.is_grad_enabled() and any(x.requires_grad for x in (r, log_w, k, v, u, state))
    if r.shape[1] and fits_triton(state):
        return _on_card(r, log_w, k, v, u, state, lengths, needs_grad)
    log_w, k = blank((log_w, k), lengths)
    if r.shape[1] < SHORTEST_CHUNKED and not needs_grad:
        return wkv6_naive(r, log_w, k, v, u, state)
    return wkv6_chunk(r, log_w, k, v, u, state)


def _on_card(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    u: Tensor,
    state: Tensor,
    lengths: Tensor | None,
    needs_grad: bool,
) -> tuple[Tensor, Tensor]:
    """Triton is imported only where there is a card."""
    from engine.ops.cards import card_of
    from engine.ops.chunk_states.settings import precision_for
    from engine.ops.wkv6.triton_chunk import wkv6_triton_chunk
    from engine.ops.wkv6.triton_serial import wkv6_triton_serial

    if r.shape[1] < SHORTEST_CHUNKED_ON_CARD and not needs_grad:
        return wkv6_triton_serial(r, log_w, k, v, u, state, lengths)
    precision = precision_for(card_of(state.device), r.dtype)
    return wkv6_triton_chunk(r, log_w, k, v, u, state, lengths, precision)


__all__ = ["wkv6", "wkv6_chunk", "wkv6_naive"]
