"""One or two tokens: the sum of the packed rows of those hidden units that are not zero. Others are not read.

A program sums one part of the units for some outputs; the parts are added in one order, so that the result
is the same in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options
from engine.ops.packed.tiles import tile4, tile8, tile_scale
from engine.quant import group_of, width_of

if TYPE_CHECKING:
    from torch import Tensor

MOST = 2  # tokens
UNITS, NUMBERS = 8, 256  # of a weight, for one program at once
PART = 512  # units of one program


@triton.jit
def rows_kernel(
    hidden, values, scale, out, F, C: tl.constexpr, GROUP: tl.constexpr, UNITS: tl.constexpr,
    GROUPS: tl.constexpr, PART: tl.constexpr,
):  # fmt: skip
    """hidden [M,F], packed rows [F,C] → out [parts,M,C] fp32; programs: outputs, parts, M."""
    part, m = tl.program_id(1), tl.program_id(2)
    groups = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)
    there = groups < C // GROUP
    low_sum = tl.zeros((UNITS, GROUPS, GROUP if GROUP == 64 else 16), tl.float32)
    high_sum = tl.zeros((UNITS, GROUPS, 16), tl.float32)
    for begin in range(part * PART, tl.minimum(part * PART + PART, F), UNITS):
        units = begin + tl.arange(0, UNITS)
        h = tl.load(hidden + m * F + units, mask=units < F, other=0.0).to(tl.float32)
        inside = (h != 0)[:, None] & there[None, :]
        rows = units.to(tl.int64)
        times = (h[:, None] * tile_scale(scale, rows, groups, inside, C, GROUP))[:, :, None]
        if GROUP == 64:
            low_sum += times * tile8(values, rows, groups, inside, C)
        else:
            low, high = tile4(values, rows, groups, inside, C)
            low_sum += times * low
            high_sum += times * high
    to = out + (part * tl.num_programs(2) + m) * C + groups[:, None] * GROUP
    if GROUP == 64:
        tl.store(to + tl.arange(0, 64)[None, :], tl.sum(low_sum, axis=0), mask=there[:, None])
    else:
        tl.store(to + tl.arange(0, 16)[None, :], tl.sum(low_sum, axis=0), mask=there[:, None])
        tl.store(to + 16 + tl.arange(0, 16)[None, :], tl.sum(high_sum, axis=0), mask=there[:, None])


def ffn_value_rows_packed(hidden: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """hidden [M,F], M ≤ 2, contiguous; weight and scale packed, rows [F,C] → [M,C] in hidden's dtype."""
    (M, F), C, group = hidden.shape, width_of(weight), group_of(weight)
    parts, groups = -(-F // PART), NUMBERS // group
    out = torch.empty(parts, M, C, dtype=torch.float32, device=hidden.device)
    grid = (-(-C // NUMBERS), parts, M)
    made = options(card_of(hidden.device), 4)
    launch(rows_kernel, grid, hidden, weight, scale, out, F, C, group, UNITS, groups, PART, **made)
    return out.sum(0).to(hidden.dtype)
