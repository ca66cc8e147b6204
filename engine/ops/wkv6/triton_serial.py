"""wkv6 in Triton, token by token: one launch for a few tokens, exact fp32, the state in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

if TYPE_CHECKING:
    from torch import Tensor

VALUES = 16  # value channels of a program


@triton.jit
def serial_kernel(
    r, log_w, k, v, u, first, lengths, y, last, stride_b, stride_t, stride_h, T, H,
    K: tl.constexpr, V: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """Inputs [B,T,H,·] (log_w with its strides), first [B,H,V,K] → y [B,T,H,V], last [B,H,V,K]."""
    g = tl.program_id(0).to(tl.int64)
    keys = tl.arange(0, K)
    values = tl.program_id(1) * BV + tl.arange(0, BV)
    tile = g * V * K + values[:, None] * K + keys[None, :]
    state = tl.load(first + tile).to(tl.float32)
    bonus = tl.load(u + (g % H) * K + keys).to(tl.float32)
    end = T
    if lengths is not None:
        end = tl.minimum(tl.load(lengths + g // H).to(tl.int32), T)
    place = (g // H) * T * H + g % H
    logs = log_w + (g // H) * stride_b + (g % H) * stride_h + keys
    for t in range(T):
        fed = t < end
        r_t = tl.load(r + place * K + keys, mask=fed, other=0.0).to(tl.float32)
        k_t = tl.load(k + place * K + keys, mask=fed, other=0.0).to(tl.float32)
        v_t = tl.load(v + place * V + values, mask=fed, other=0.0).to(tl.float32)
        decay = tl.exp(tl.load(logs, mask=fed, other=0.0).to(tl.float32))
        read = tl.sum(state * r_t[None, :], axis=1) + tl.sum(r_t * bonus * k_t) * v_t
        tl.store(y + place * V + values, read)
        state = state * decay[None, :] + v_t[:, None] * k_t[None, :]
        place += H
        logs += stride_t
    tl.store(last + tile, state)


def wkv6_triton_serial(
    r: Tensor, log_w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """See `engine.ops.wkv6.wkv6`; an fp32 state, K and V 16, 32 or 64; no gradients."""
    r, k, v, u, state = (x.contiguous() for x in (r, k, v, u, state))
    if log_w.stride(-1) != 1:
        log_w = log_w.contiguous()
    B, T, H, K = r.shape
    V = v.shape[-1]
    y = torch.empty(B, T, H, V, dtype=state.dtype, device=state.device)
    last = torch.empty_like(state)
    BV = min(VALUES, V)
    sizes = *log_w.stride()[:3], T, H, K, V, BV
    built = options(card_of(state.device), 1)
    launch(serial_kernel, (B * H, V // BV), r, log_w, k, v, u, state, lengths, y, last, *sizes, **built)
    return y, last
