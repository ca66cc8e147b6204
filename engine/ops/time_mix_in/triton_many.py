"""The same for a batch of rows: one kernel norms and mixes, one takes all seven matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import NO_CARD, Card, launch, options
from engine.ops.gemv.matrix import check
from engine.ops.gemv.triton_many import OUTPUTS, STAGES, WIDTH, dot_rows, mix_planes, padded
from engine.ops.gemv.triton_parts import wait

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.arguments import Mix, Norm
    from engine.ops.time_mix_in.arguments import TimeMixIn


@triton.jit(do_not_specialize=["B"])
def time_mix_in_many_kernel(
    planes, r, k, v, low_rank, rkv, hidden, B,
    RANK_W: tl.constexpr, RANK_A: tl.constexpr, RANK_V: tl.constexpr, RANK_G: tl.constexpr,
    C: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, WIDTH: tl.constexpr,
    WIDE: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: rows of r, of k, of v, then of each low-rank network's matrix."""
    block = tl.program_id(0)
    m = tl.arange(0, ROWS)
    BLOCKS: tl.constexpr = (C + OUTPUTS - 1) // OUTPUTS
    wait(PDL)
    if block < 3 * BLOCKS:
        which = block // BLOCKS
        values, mixture = r, 0
        if which == 1:
            values, mixture = k, 2
        if which == 2:
            values, mixture = v, 3
        outputs = block % BLOCKS * OUTPUTS + tl.arange(0, OUTPUTS)
        total = dot_rows(values, planes + mixture * B * C, outputs, C, B, C, ROWS, OUTPUTS, WIDTH, WIDE)
        inside = (outputs < C)[:, None] & (m < B)[None, :]
        tl.store(rkv + (m[None, :] * 3 + which) * C + outputs[:, None], total, mask=inside)
    else:
        R: tl.constexpr = RANK_W + RANK_A + RANK_V + RANK_G
        A: tl.constexpr = (RANK_W + OUTPUTS - 1) // OUTPUTS
        V: tl.constexpr = A + (RANK_A + OUTPUTS - 1) // OUTPUTS
        G: tl.constexpr = V + (RANK_V + OUTPUTS - 1) // OUTPUTS
        block -= 3 * BLOCKS
        mixture, first, end = 1, block * OUTPUTS, RANK_W
        if block >= A:
            mixture, first, end = 4, RANK_W + (block - A) * OUTPUTS, RANK_W + RANK_A
        if block >= V:
            mixture, first, end = 3, RANK_W + RANK_A + (block - V) * OUTPUTS, RANK_W + RANK_A + RANK_V
        if block >= G:
            mixture, first, end = 5, RANK_W + RANK_A + RANK_V + (block - G) * OUTPUTS, R
        outputs = first + tl.arange(0, OUTPUTS)
        total = dot_rows(low_rank, planes + mixture * B * C, outputs, end, B, C, ROWS, OUTPUTS, WIDTH, WIDE)
        if block < A:
            total = 2 * tl.sigmoid(2 * total) - 1  # tanh
        if block >= G:
            total = tl.sigmoid(total)
        inside = (outputs < end)[:, None] & (m < B)[None, :]
        tl.store(hidden + m[None, :] * R + outputs[:, None], total, mask=inside)


def time_mix_in_many(
    x: Tensor, norm: Norm, mix: Mix, w: TimeMixIn, rkv: Tensor, hidden: Tensor, card: Card, planes: Tensor
) -> None:
    """As `time_mix_in_naive`, the vectors rounded to the run dtype.  planes: room for 6·B·C numbers of it."""
    for matrix in (w.receptance, w.key, w.value):
        check(matrix)
    B, C = x.shape
    mix_planes(x, norm, mix, planes, card)
    blocks = 3 * -(-C // OUTPUTS) + sum(-(-rank // OUTPUTS) for rank in w.ranks)
    launch(
        time_mix_in_many_kernel, (blocks,),
        planes, w.receptance.values, w.key.values, w.value.values, w.low_rank, rkv, hidden, B,
        *w.ranks, C, padded(B), OUTPUTS, WIDTH, card.sm == NO_CARD, card.dependent_launch,
        **options(card, 4, stages=STAGES, dependent=True),
    )  # fmt: skip
