"""The RWKV-7 recurrence, `wkv7`: the one public name; it picks an implementation.

Per head, with S the state [V,K] and the vectors of one token as columns:

    S ← S·diag(exp(log_w)) + (S·a)·bᵀ + v·kᵀ        y = S·r
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.chunk_states import fits_triton
from engine.ops.padding import blank
from engine.ops.wkv7.chunk import wkv7_chunk
from engine.ops.wkv7.naive import wkv7_naive

if TYPE_CHECKING:
    from torch import Tensor

# Below this many tokens the sequential form does less work than one padded chunk.
SHORTEST_CHUNKED = 4
# The same on a card, where the sequential form is one launch and the chunk form three (not measured yet).
SHORTEST_CHUNKED_ON_CARD = 17


def wkv7(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    state: Tensor,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The recurrence over any number of tokens, continued from `state`, which is not changed.

    Args:
        r, k, a, b: [B,T,H,K], any float dtype.  v: [B,T,H,V].
        log_w: [B,T,H,K], the logarithm of the decay, in −0.6066 … 0.
        state: [B,H,V,K], fp32 (fp64 in gradient checks); all arithmetic is done in its dtype.
        lengths: [B]; the tokens of a row from its length on change no state, and their y means nothing.

    Returns:
        y [B,T,H,V] and the state after the last token, both in the state's dtype.
    """
    needs_grad = torch.is_grad_enabled() and any(x.requires_grad for x in (r, log_w, k, v, a, b, state))
    if r.shape[1] and fits_triton(state):
        return _on_card(r, log_w, k, v, a, b, state, lengths, needs_grad)
    log_w, k, b = blank((log_w, k, b), lengths)
    if r.shape[1] < SHORTEST_CHUNKED and not needs_grad:
        return wkv7_naive(r, log_w, k, v, a, b, state)
    return wkv7_chunk(r, log_w, k, v, a, b, state)


def _on_card(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    state: Tensor,
    lengths: Tensor | None,
    needs_grad: bool,
) -> tuple[Tensor, Tensor]:
    """Triton is imported only where there is a card."""
    from engine.ops.cards import card_of
    from engine.ops.chunk_states.settings import settings_for
    from engine.ops.wkv7.triton_chunk import wkv7_triton_chunk
    from engine.ops.wkv7.triton_serial import wkv7_triton_serial

    if r.shape[1] < SHORTEST_CHUNKED_ON_CARD and not needs_grad:
        return wkv7_triton_serial(r, log_w, k, v, a, b, state, lengths)
    settings = settings_for(card_of(state.device), r.dtype)
    return wkv7_triton_chunk(r, log_w, k, v, a, b, state, lengths, settings)


__all__ = ["wkv7", "wkv7_chunk", "wkv7_naive"]
