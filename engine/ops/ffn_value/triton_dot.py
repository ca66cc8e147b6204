"""A few tokens (3 to 63): tensor cores, every packed row read once. Few units are zero for all.

A scale belongs to a unit, over which the product sums, so numbers are scaled before it, in the run dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import NO_CARD, card_of, launch, options
from engine.ops.packed.tiles import product, tile4, tile_scale
from engine.quant import group_of, width_of

if TYPE_CHECKING:
    from torch import Tensor

UNITS = 64  # at once


@triton.jit
def dot8_kernel(
    hidden, values, scale, out, M, F, C: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """hidden [M,F], packed rows [F,C] → out [M,C]; M up to ROWS. A program has one group of outputs."""
    m, group = tl.arange(0, ROWS), tl.program_id(0)
    c = group * 64 + tl.arange(0, 64)
    total = tl.zeros((ROWS, 64), tl.float32)
    for begin in range(0, F, UNITS):
        f = begin + tl.arange(0, UNITS)
        rows = f.to(tl.int64)
        h = tl.load(hidden + m[:, None] * F + f[None, :], mask=(m < M)[:, None] & (f < F)[None, :], other=0.0)
        w = tl.load(values + rows[:, None] * C + c[None, :], mask=(f < F)[:, None], other=0).to(tl.float32)
        times = tl.load(scale + rows * (C // 64) + group, mask=f < F, other=0.0).to(tl.float32)
        total += product(h, (w * times[:, None]).to(h.dtype), WIDE)
    tl.store(out + m[:, None] * C + c[None, :], total.to(out.dtype.element_ty), mask=(m < M)[:, None])


@triton.jit
def dot4_kernel(
    hidden, values, scale, out, M, F, C: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr,
    GROUPS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The same of int4; a program has GROUPS groups of outputs, the halves of all of them in two sums."""
    m = tl.arange(0, ROWS)
    groups = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)
    lows = tl.zeros((ROWS, GROUPS * 16), tl.float32)
    highs = tl.zeros((ROWS, GROUPS * 16), tl.float32)
    for begin in range(0, F, UNITS):
        f = begin + tl.arange(0, UNITS)
        inside = (f < F)[:, None] & (groups < C // 32)[None, :]
        h = tl.load(hidden + m[:, None] * F + f[None, :], mask=(m < M)[:, None] & (f < F)[None, :], other=0.0)
        times = tile_scale(scale, f.to(tl.int64), groups, inside, C, 32)[:, :, None]
        low, high = tile4(values, f.to(tl.int64), groups, inside, C)
        lows += product(h, tl.reshape(low * times, (UNITS, GROUPS * 16)).to(h.dtype), WIDE)
        highs += product(h, tl.reshape(high * times, (UNITS, GROUPS * 16)).to(h.dtype), WIDE)
    i = tl.arange(0, GROUPS * 16)
    c = (tl.program_id(0) * GROUPS + i // 16) * 32 + i % 16
    to, there = out + m[:, None] * C + c[None, :], (m < M)[:, None] & (c < C)[None, :]
    tl.store(to, lows.to(out.dtype.element_ty), mask=there)
    tl.store(to + 16, highs.to(out.dtype.element_ty), mask=there)


def ffn_value_dot(hidden: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """hidden [M,F], M ≤ 64, contiguous, bf16 or fp16; weight and scale packed, rows [F,C] → [M,C]."""
    (M, F), C = hidden.shape, width_of(weight)
    out = torch.empty(M, C, dtype=hidden.dtype, device=hidden.device)
    rows, card = max(16, triton.next_power_of_2(M)), card_of(hidden.device)
    made, wide = options(card, 4, stages=3), card.sm == NO_CARD
    if group_of(weight) == 64:
        launch(dot8_kernel, (C // 64,), hidden, weight, scale, out, M, F, C, rows, UNITS, wide, **made)
    else:
        launch(dot4_kernel, (-(-C // 64),), hidden, weight, scale, out, M, F, C, rows, UNITS, 2, wide, **made)
    return out
