"""wkv7 in Triton, token by token: one launch for a few tokens, exact fp32, the state in registers.

Every program steps some value channels of one head; the next token's vectors are fetched while this one's
are used.
"""

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options

if TYPE_CHECKING:
    from torch import Tensor

VALUES = 16  # value channels of a program


@triton.jit
def _token(r, log_w, k, a, b, place, fed, K: tl.constexpr):
    """The five vectors [K] of one token, fp32; of one that is not fed zeros, which change no state."""
    at = place * K + tl.arange(0, K)
    return (
        tl.load(r + at, mask=fed, other=0.0).to(tl.float32),
        tl.exp(tl.load(log_w + at, mask=fed, other=0.0).to(tl.float32)),
        tl.load(k + at, mask=fed, other=0.0).to(tl.float32),
        tl.load(a + at, mask=fed, other=0.0).to(tl.float32),
        tl.load(b + at, mask=fed, other=0.0).to(tl.float32),
    )


@triton.jit
def serial_kernel(
    r, log_w, k, v, a, b, first, lengths, y, last, T, H, K: tl.constexpr, V: tl.constexpr, BV: tl.constexpr
):  # fmt: skip
    """Inputs [B,T,H,·], first [B,H,V,K] → y [B,T,H,V], last [B,H,V,K]."""
    g = tl.program_id(0).to(tl.int64)
    values = tl.program_id(1) * BV + tl.arange(0, BV)
    tile = g * V * K + values[:, None] * K + tl.arange(0, K)[None, :]
    state = tl.load(first + tile).to(tl.float32)
    end = T
    if lengths is not None:
        end = tl.minimum(tl.load(lengths + g // H).to(tl.int32), T)
    place = (g // H) * T * H + g % H
    r_t, decay, k_t, a_t, b_t = _token(r, log_w, k, a, b, place, end > 0, K)
    v_t = tl.load(v + place * V + values, mask=(values < V) & (end > 0), other=0.0).to(tl.float32)
    for t in range(T):
        ahead = t + 1 < end
        r_n, decay_n, k_n, a_n, b_n = _token(r, log_w, k, a, b, place + H, ahead, K)
        v_n = tl.load(v + (place + H) * V + values, mask=(values < V) & ahead, other=0.0).to(tl.float32)
        removed = tl.sum(state * a_t[None, :], axis=1)
        state = state * decay[None, :] + removed[:, None] * b_t[None, :] + v_t[:, None] * k_t[None, :]
        tl.store(y + place * V + values, tl.sum(state * r_t[None, :], axis=1))
        r_t, decay, k_t, a_t, b_t, v_t = r_n, decay_n, k_n, a_n, b_n, v_n
        place += H
    tl.store(last + tile, state)


def wkv7_triton_serial(
    r: Tensor,
    log_w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    state: Tensor,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv7.wkv7`; an fp32 state, K and V powers of two; no gradients."""
    r, log_w, k, v, a, b, state = (x.contiguous() for x in (r, log_w, k, v, a, b, state))
    B, T, H, K = r.shape
    V = v.shape[-1]
    y = torch.empty(B, T, H, V, dtype=state.dtype, device=state.device)
    last = torch.empty_like(state)
    BV = min(VALUES, V)
    sizes = T, H, K, V, BV
    built = options(card_of(state.device), 1)
    launch(serial_kernel, (B * H, V // BV), r, log_w, k, v, a, b, state, lengths, y, last, *sizes, **built)
    return y, last
