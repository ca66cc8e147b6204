"""One matrix times a vector: as it is, normed, or normed and mixed with the token before."""

# as in `triton_parts`:
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import Card, launch, options
from engine.ops.gemv.arguments import End, Mix, Norm
from engine.ops.gemv.configs import REGISTERS, shape_of
from engine.ops.gemv.matrix import Matrix, check
from engine.ops.gemv.triton_parts import (
    keep,
    mixed,
    normed,
    numbers_at,
    places,
    project_rows,
    statistics,
    tile,
    wait,
)

if TYPE_CHECKING:
    from torch import Tensor


@triton.jit(do_not_specialize=["steps", "N"])
def project_kernel(
    x, norm_weight, norm_bias, shift, share, kept, values, scales, out, N, steps,
    K: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, GROUP: tl.constexpr, END: tl.constexpr,
    NORM: tl.constexpr, MIX: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: (row of the batch, rows of the matrix)."""
    row, block = tl.program_id(0), tl.program_id(1)
    x += row * K
    first = block * R * steps
    end = tl.minimum(first + R * steps, N)
    numbers, factors = tile(values, scales, first + tl.arange(0, R), end, K, BLOCK, GROUP)
    low = places(BLOCK, GROUP)
    high = low + 16 if GROUP == 32 else low
    if NORM:
        low_weight, low_bias = numbers_at(norm_weight, low, K), numbers_at(norm_bias, low, K)
        high_weight, high_bias = numbers_at(norm_weight, high, K), numbers_at(norm_bias, high, K)
    if MIX:
        low_before, low_share = numbers_at(shift + row * K, low, K), numbers_at(share, low, K)
        high_before, high_share = numbers_at(shift + row * K, high, K), numbers_at(share, high, K)
    wait(PDL)
    low_x, high_x = numbers_at(x, low, K), numbers_at(x, high, K)
    if NORM:
        mean, rstd = statistics(x, K, BLOCK, EPS)
        low_x = normed(low_x, low_weight, low_bias, mean, rstd)
        high_x = normed(high_x, high_weight, high_bias, mean, rstd)
    if MIX:
        if block == 0:
            keep(x, norm_weight, norm_bias, kept + row * K, mean, rstd, K, BLOCK)
        low_x, high_x = mixed(low_x, low_before, low_share), mixed(high_x, high_before, high_share)
    project_rows(
        numbers, factors, values, scales, low_x, high_x, out + row * N, first, end, steps,
        K, BLOCK, R, GROUP, END,
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
    shift, share, kept = mix or (x, x, x)
    launch(
        project_kernel, (B, -(-matrix.rows // shape.span)),
        x, weight, bias, shift, share, kept, matrix.values, matrix.scales, out, matrix.rows, shape.steps,
        K, shape.BLOCK, shape.R, matrix.group, int(end),
        norm is not None, mix is not None, eps, card.dependent_launch,
        **options(card, shape.warps, dependent=True, registers=REGISTERS),
    )  # fmt: skip
