"""One matrix times a vector: as it is, normed, or normed and mixed with the token before."""

# as in `triton_parts`:
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import Card, launch, options
from engine.ops.gemv.arguments import End, Mix, Norm
from engine.ops.gemv.configs import shape_of
from engine.ops.gemv.matrix import Matrix, check
from engine.ops.gemv.triton_parts import mixed_at, normed_at, places, project_rows, statistics, tile, wait

if TYPE_CHECKING:
    from torch import Tensor


@triton.jit(do_not_specialize=["steps", "N"])
def project_kernel(
    x, norm_weight, norm_bias, shift, share, normed, values, scales, out, N, steps,
    K: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, GROUP: tl.constexpr, END: tl.constexpr,
    NORM: tl.constexpr, MIX: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: (row of the batch, rows of the matrix)."""
    row, block = tl.program_id(0), tl.program_id(1)
    x += row * K
    first = block * R * steps
    end = tl.minimum(first + R * steps, N)
    numbers, factors = tile(values, scales, first + tl.arange(0, R), end, K, BLOCK, GROUP)
    at = places(BLOCK, GROUP)
    wait(PDL)
    if NORM:
        mean, rstd = statistics(x, K, BLOCK, EPS)
        low = normed_at(x, norm_weight, norm_bias, at, mean, rstd, K)
        high = normed_at(x, norm_weight, norm_bias, at + 16, mean, rstd, K) if GROUP == 32 else low
        if MIX:
            if block == 0:
                every = tl.arange(0, BLOCK)
                kept = normed_at(x, norm_weight, norm_bias, every, mean, rstd, K)
                tl.store(normed + row * K + every, kept, mask=every < K)
            low = mixed_at(low, shift + row * K, share, at, K)
            high = mixed_at(high, shift + row * K, share, at + 16, K) if GROUP == 32 else low
    else:
        low = tl.load(x + at, mask=at < K, other=0.0)
        high = tl.load(x + at + 16, mask=at + 16 < K, other=0.0) if GROUP == 32 else low
    project_rows(
        numbers, factors, values, scales, low, high, out + row * N, first, end, steps, K, BLOCK, R, GROUP, END
    )  # fmt: skip


def project(
    x: Tensor,
    matrix: Matrix,
    out: Tensor,
    card: Card,
    *,
    norm: Norm | None = None,
    mix: Mix | None = None,
    end: End = End.STORE,
) -> None:
    """As `project_naive`."""
    check(matrix)
    B, K = x.shape
    shape = shape_of(card, matrix.rows, K, matrix.group)
    weight, bias, eps = norm or (x, x, 0.0)
    shift, share, normed = mix or (x, x, x)
    launch(
        project_kernel, (B, -(-matrix.rows // shape.span)),
        x, weight, bias, shift, share, normed, matrix.values, matrix.scales, out, matrix.rows, shape.steps,
        K, shape.BLOCK, shape.R, matrix.group, int(end),
        norm is not None, mix is not None, eps, card.dependent_launch,
        **options(card, shape.warps, dependent=True),
    )  # fmt: skip
