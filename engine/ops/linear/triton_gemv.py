"""One or two rows of activations times a packed weight: every byte of it is read once.

A program takes some outputs and goes through their groups; the sum of a group is multiplied by its scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options
from engine.ops.packed.tiles import row_part, tile4, tile8, tile_scale
from engine.quant import group_of

if TYPE_CHECKING:
    from torch import Tensor

MOST = 2  # rows of activations
ROWS, BYTES = 4, 1024  # of a weight, for one program at once


@triton.jit
def gemv_kernel(
    x, values, scale, out, N, K: tl.constexpr, M: tl.constexpr, GROUP: tl.constexpr,
    ROWS: tl.constexpr, GROUPS: tl.constexpr,
):  # fmt: skip
    """x [M,K], packed rows [N,K] → out [M,N]."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    first = tl.zeros((ROWS, GROUPS), tl.float32)
    second = tl.zeros((ROWS, GROUPS), tl.float32)
    for begin in range(0, K // GROUP, GROUPS):
        groups = begin + tl.arange(0, GROUPS)
        fed = groups < K // GROUP
        inside = (rows < N)[:, None] & fed[None, :]
        times = tile_scale(scale, rows.to(tl.int64), groups, inside, K, GROUP)
        if GROUP == 64:
            w = tile8(values, rows.to(tl.int64), groups, inside, K)
            first += times * tl.sum(w * row_part(x, groups, fed, 64, 0, 64)[None, :, :], axis=2)
            if M == 2:
                second += times * tl.sum(w * row_part(x + K, groups, fed, 64, 0, 64)[None, :, :], axis=2)
        else:
            low, high = tile4(values, rows.to(tl.int64), groups, inside, K)
            its = low * row_part(x, groups, fed, 32, 0, 16)[None, :, :]
            its += high * row_part(x, groups, fed, 32, 16, 16)[None, :, :]
            first += times * tl.sum(its, axis=2)
            if M == 2:
                its = low * row_part(x + K, groups, fed, 32, 0, 16)[None, :, :]
                its += high * row_part(x + K, groups, fed, 32, 16, 16)[None, :, :]
                second += times * tl.sum(its, axis=2)
    tl.store(out + rows, tl.sum(first, axis=1).to(out.dtype.element_ty), mask=rows < N)
    if M == 2:
        tl.store(out + N + rows, tl.sum(second, axis=1).to(out.dtype.element_ty), mask=rows < N)


def linear_gemv(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x [M,K], M ≤ 2, contiguous; weight and scale packed, rows [N,K] → [M,N] in x's dtype."""
    (M, K), N, group = x.shape, weight.shape[0], group_of(weight)
    out = torch.empty(M, N, dtype=x.dtype, device=x.device)
    groups = BYTES // (64 if group == 64 else 16)
    while groups > 4 and K // group % groups:  # whole tiles, where they are not too small
        groups //= 2
    grid = (-(-N // ROWS),)
    launch(
        gemv_kernel,
        grid,
        x,
        weight,
        scale,
        out,
        N,
        K,
        M,
        group,
        ROWS,
        groups,
        **options(card_of(x.device), 4),
    )
    return out
