"""wkv4 in Triton, token by token: one launch for any number of tokens, the naive form's own arithmetic.

A program has some channels of one row and keeps their three numbers in registers. The next token is
fetched while this one's exponentials are made.
"""

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

    from engine.ops.wkv4.naive import Average

CHANNELS = 32  # of a program, one for each thread of a warp


@triton.jit
def serial_kernel(
    log_w, u, k, v, first_n, first_d, first_e, lengths, y, last_n, last_d, last_e, T,
    C: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """k, v [B,T,C], the state's parts [B,C] → y [B,T,C] and the new parts."""
    b = tl.program_id(0).to(tl.int64)
    channels = tl.program_id(1) * BC + tl.arange(0, BC)
    inside = channels < C
    row = b * C + channels
    w = tl.load(log_w + channels, mask=inside, other=0.0).to(tl.float32)
    bonus = tl.load(u + channels, mask=inside, other=0.0).to(tl.float32)
    numerator = tl.load(first_n + row, mask=inside, other=0.0).to(tl.float32)
    denominator = tl.load(first_d + row, mask=inside, other=0.0).to(tl.float32)
    exponent = tl.load(first_e + row, mask=inside, other=0.0).to(tl.float32)
    end = T
    if lengths is not None:
        end = tl.minimum(tl.load(lengths + b).to(tl.int32), T)
    at = b * T * C + channels
    k_t = tl.load(k + at, mask=inside & (end > 0), other=0.0).to(tl.float32)
    v_t = tl.load(v + at, mask=inside & (end > 0), other=0.0).to(tl.float32)
    for t in range(T):
        ahead = inside & (t + 1 < end)
        k_next = tl.load(k + at + C, mask=ahead, other=0.0).to(tl.float32)
        v_next = tl.load(v + at + C, mask=ahead, other=0.0).to(tl.float32)
        own = bonus + k_t
        largest = tl.maximum(exponent, own)
        old, new = tl.exp(exponent - largest), tl.exp(own - largest)
        # a channel that is not there has a state of zeros, hence no division by its denominator
        below = tl.where(inside, new + old * denominator, 1.0)
        tl.store(y + at, (new * v_t + old * numerator) / below, mask=inside)
        decayed = exponent + w
        largest = tl.maximum(decayed, k_t)
        old, new = tl.exp(decayed - largest), tl.exp(k_t - largest)
        fed = t < end
        numerator = tl.where(fed, new * v_t + old * numerator, numerator)
        denominator = tl.where(fed, new + old * denominator, denominator)
        exponent = tl.where(fed, largest, exponent)
        k_t, v_t = k_next, v_next
        at += C
    tl.store(last_n + row, numerator, mask=inside)
    tl.store(last_d + row, denominator, mask=inside)
    tl.store(last_e + row, exponent, mask=inside)


def wkv4_triton_serial(
    log_w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Average, lengths: Tensor | None
) -> tuple[Tensor, Average]:
    """See `engine.ops.wkv4.wkv4`; an fp32 state; no gradients."""
    log_w, u, k, v = (x.contiguous() for x in (log_w, u, k, v))
    numerator, denominator, exponent = (x.contiguous() for x in state)
    B, T, C = k.shape
    y = torch.empty(B, T, C, dtype=torch.float32, device=k.device)
    new = torch.empty_like(numerator), torch.empty_like(denominator), torch.empty_like(exponent)
    given = log_w, u, k, v, numerator, denominator, exponent, lengths
    built = options(card_of(k.device), 1)
    launch(serial_kernel, (B, -(-C // CHANNELS)), *given, y, *new, T, C, CHANNELS, **built)
    return y, new
