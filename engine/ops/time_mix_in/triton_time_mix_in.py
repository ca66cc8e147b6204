"""One kernel: a program takes rows of one of seven matrices, and norms and mixes the vector for itself."""

# as in `triton_parts`:
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import Card, launch, options
from engine.ops.gemv.configs import REGISTERS, shape_of
from engine.ops.gemv.matrix import PLAIN, Matrix, check
from engine.ops.gemv.triton_parts import (
    keep,
    mixed,
    normed,
    numbers_at,
    places,
    project_rows,
    statistics,
    sums,
    tile,
    wait,
)

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.arguments import Mix, Norm
    from engine.ops.time_mix_in.arguments import TimeMixIn


@triton.jit
def _squares(
    x, norm_weight, norm_bias, shift, share, kept, r, r_scale, k, k_scale, v, v_scale, rkv,
    block, blocks, steps,
    C: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, GROUP: tl.constexpr, EPS: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Rows of receptance, key or value."""
    which = block // blocks
    first = block % blocks * R * steps
    end = tl.minimum(first + R * steps, C)
    values, scales, mixture = r, r_scale, 0
    if which == 1:
        values, scales, mixture = k, k_scale, 2
    if which == 2:
        values, scales, mixture = v, v_scale, 3
    numbers, factors = tile(values, scales, first + tl.arange(0, R), end, C, BLOCK, GROUP)
    low = places(BLOCK, GROUP)
    high = low + 16 if GROUP == 32 else low
    share += mixture * C
    low_weight, low_bias = numbers_at(norm_weight, low, C), numbers_at(norm_bias, low, C)
    high_weight, high_bias = numbers_at(norm_weight, high, C), numbers_at(norm_bias, high, C)
    low_before, low_share = numbers_at(shift, low, C), numbers_at(share, low, C)
    high_before, high_share = numbers_at(shift, high, C), numbers_at(share, high, C)
    wait(PDL)
    low_x, high_x = numbers_at(x, low, C), numbers_at(x, high, C)
    mean, rstd = statistics(x, C, BLOCK, EPS)
    if block == 0:
        keep(x, norm_weight, norm_bias, kept, mean, rstd, C, BLOCK)
    low_x = mixed(normed(low_x, low_weight, low_bias, mean, rstd), low_before, low_share)
    high_x = mixed(normed(high_x, high_weight, high_bias, mean, rstd), high_before, high_share)
    out = rkv + which * C
    project_rows(
        numbers, factors, values, scales, low_x, high_x, out, first, end, steps, C, BLOCK, R, GROUP, 0
    )


@triton.jit
def _low_rank(
    x, norm_weight, norm_bias, shift, share, low_rank, hidden, block,
    RANK_W: tl.constexpr, RANK_A: tl.constexpr, RANK_V: tl.constexpr, RANK_G: tl.constexpr,
    C: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One tile of rows of the low-rank matrices, all of one network."""
    A: tl.constexpr = (RANK_W + R - 1) // R  # the first block of each network
    V: tl.constexpr = A + (RANK_A + R - 1) // R
    G: tl.constexpr = V + (RANK_V + R - 1) // R
    mixture, first, end = 1, block * R, RANK_W
    if block >= A:
        mixture, first, end = 4, RANK_W + (block - A) * R, RANK_W + RANK_A
    if block >= V:
        mixture, first, end = 3, RANK_W + RANK_A + (block - V) * R, RANK_W + RANK_A + RANK_V
    if block >= G:
        mixture = 5
        first = RANK_W + RANK_A + RANK_V + (block - G) * R
        end = RANK_W + RANK_A + RANK_V + RANK_G
    rows = first + tl.arange(0, R)
    numbers, factors = tile(low_rank, low_rank, rows, end, C, BLOCK, 0)
    at = places(BLOCK, 0)
    weight, bias = numbers_at(norm_weight, at, C), numbers_at(norm_bias, at, C)
    before, its_share = numbers_at(shift, at, C), numbers_at(share + mixture * C, at, C)
    wait(PDL)
    its_x = numbers_at(x, at, C)
    mean, rstd = statistics(x, C, BLOCK, EPS)
    vector = mixed(normed(its_x, weight, bias, mean, rstd), before, its_share)
    total = sums(numbers, factors, vector, vector, 0)
    if block < A:
        total = 2 * tl.sigmoid(2 * total) - 1  # tanh
    if block >= G:
        total = tl.sigmoid(total)
    tl.store(hidden + rows, total, mask=rows < end)


@triton.jit(do_not_specialize=["blocks", "steps"])
def time_mix_in_kernel(
    x, norm_weight, norm_bias, shift, share, kept, r, r_scale, k, k_scale, v, v_scale, low_rank,
    rkv, hidden, blocks, steps,
    RANK_W: tl.constexpr, RANK_A: tl.constexpr, RANK_V: tl.constexpr, RANK_G: tl.constexpr,
    C: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, GROUP: tl.constexpr,
    BLOCK_PLAIN: tl.constexpr, R_PLAIN: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: (row of the batch, rows of a matrix: `blocks` each for r, k, v, then the low-rank ones)."""
    row, block = tl.program_id(0), tl.program_id(1)
    x += row * C
    shift += row * C
    kept += row * C
    if block < 3 * blocks:
        _squares(
            x, norm_weight, norm_bias, shift, share, kept, r, r_scale, k, k_scale, v, v_scale,
            rkv + row * 3 * C, block, blocks, steps, C, BLOCK, R, GROUP, EPS, PDL,
        )  # fmt: skip
    else:
        _low_rank(
            x, norm_weight, norm_bias, shift, share, low_rank,
            hidden + row * (RANK_W + RANK_A + RANK_V + RANK_G), block - 3 * blocks,
            RANK_W, RANK_A, RANK_V, RANK_G, C, BLOCK_PLAIN, R_PLAIN, EPS, PDL,
        )  # fmt: skip


def time_mix_in(
    x: Tensor, norm: Norm, mix: Mix, w: TimeMixIn, rkv: Tensor, hidden: Tensor, card: Card
) -> None:
    """As `time_mix_in_naive`."""
    for matrix in (w.receptance, w.key, w.value):
        check(matrix)
    B, C = x.shape
    group = w.receptance.group
    shape = shape_of(card, 3 * C + sum(w.ranks), C, group)
    plain = shape_of(card, sum(w.ranks), C, PLAIN)
    blocks = -(-C // shape.span)
    launch(
        time_mix_in_kernel, (B, 3 * blocks + sum(-(-rank // plain.R) for rank in w.ranks)),
        x, norm.weight, norm.bias, mix.shift, mix.share, mix.normed,
        *_pointers(w.receptance), *_pointers(w.key), *_pointers(w.value), w.low_rank, rkv, hidden,
        blocks, shape.steps, *w.ranks, C, shape.BLOCK, shape.R, group, plain.BLOCK, plain.R, norm.eps,
        card.dependent_launch, **options(card, shape.warps, dependent=True, registers=REGISTERS),
    )  # fmt: skip


def _pointers(matrix: Matrix) -> tuple[Tensor, Tensor]:
    return matrix.values, matrix.scales
