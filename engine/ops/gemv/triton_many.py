"""The same for a batch of rows: tensor cores, every weight read once for all of them.

The vectors are normed and mixed by a kernel of their own, since every program would do it for every row; they
are rounded to the run dtype for the tensor cores, sums are fp32. Only for plain matrices in half precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import NO_CARD, Card, launch, options
from engine.ops.gemv.arguments import End, Mix, Norm
from engine.ops.gemv.matrix import PLAIN, Matrix, check
from engine.ops.gemv.triton_parts import ADD, SQUARED_RELU, mixed, normed, numbers_at, statistics, wait
from engine.ops.packed.tiles import product

if TYPE_CHECKING:
    from torch import Tensor

OUTPUTS, WIDTH, STAGES = 16, 128, 3  # rows of the matrix in a program; numbers of each at once; on their way
LARGEST_BATCH = 64
TENSOR_CORES_FROM = 80


@triton.jit
def mix_kernel(
    x, norm_weight, norm_bias, shift, share, kept, planes,
    C: tl.constexpr, BLOCK: tl.constexpr, M: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """planes [M,B,C]: the normed row, mixed by each of M shares [M,C]; M = 0: as it is.  Programs: rows."""
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    wait(PDL)
    x += row * C
    mean, rstd = statistics(x, C, BLOCK, EPS)
    weight, bias = numbers_at(norm_weight, at, C), numbers_at(norm_bias, at, C)
    its = normed(numbers_at(x, at, C), weight, bias, mean, rstd)
    if M == 0:
        tl.store(planes + row * C + at, its.to(planes.dtype.element_ty), mask=at < C)
    else:
        tl.store(kept + row * C + at, its, mask=at < C)
        before = numbers_at(shift + row * C, at, C)
        for m in tl.static_range(M):
            plane = mixed(its, before, numbers_at(share + m * C, at, C))
            place = planes + (m * tl.num_programs(0) + row) * C + at
            tl.store(place, plane.to(planes.dtype.element_ty), mask=at < C)


@triton.jit
def dot_rows(
    values, x, outputs, end, B,
    K: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """x [B,K] times some rows of a matrix [N,K]: [OUTPUTS,ROWS], ROWS at least B."""
    m = tl.arange(0, ROWS)
    total = tl.zeros([OUTPUTS, ROWS], tl.float32)
    for start in range(0, K, WIDTH):
        k = start + tl.arange(0, WIDTH)
        inside = (outputs < end)[:, None] & (k < K)[None, :]
        w = tl.load(values + outputs[:, None] * K + k[None, :], mask=inside, other=0.0)
        its = tl.load(x + m[None, :] * K + k[:, None], mask=(m < B)[None, :] & (k < K)[:, None], other=0.0)
        total += product(w, its.to(w.dtype), WIDE)
    return total


@triton.jit(do_not_specialize=["B", "N"])
def many_kernel(
    x, values, out, B, N,
    K: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, WIDTH: tl.constexpr, END: tl.constexpr,
    WIDE: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: rows of the matrix."""
    outputs = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    wait(PDL)
    total = dot_rows(values, x, outputs, N, B, K, ROWS, OUTPUTS, WIDTH, WIDE)
    m = tl.arange(0, ROWS)
    inside = (outputs < N)[:, None] & (m < B)[None, :]
    place = out + m[None, :] * N + outputs[:, None]
    if END == ADD:
        total += tl.load(place, mask=inside, other=0.0)
    if END == SQUARED_RELU:
        total = tl.where(total < 0, 0.0, total)
        total *= total
    tl.store(place, total, mask=inside)


def takes_many(matrix: Matrix, batch: int, card: Card) -> bool:
    """Whether a batch of this size goes this way; Triton multiplies without tensor cores before Ampere."""
    half = matrix.group == PLAIN and matrix.values.dtype.itemsize == 2
    return half and batch <= LARGEST_BATCH and (card.sm >= TENSOR_CORES_FROM or card.sm == NO_CARD)


def padded(batch: int) -> int:
    """Rows of a tile: tensor cores take at least 16."""
    return max(16, 1 << (batch - 1).bit_length())


def mix_planes(x: Tensor, norm: Norm, mix: Mix | None, planes: Tensor, card: Card) -> None:
    """x [B,C] fp32 → planes, room for [M,B,C] of the run dtype, and `mix.normed`."""
    B, C = x.shape
    shift, share, kept = mix or (x, x, x)
    count = share.numel() // C if mix else 0
    block = max(16, 1 << (C - 1).bit_length())
    launch(
        mix_kernel, (B,), x, norm.weight, norm.bias, shift, share, kept, planes,
        C, block, count, norm.eps, card.dependent_launch, **options(card, 8, dependent=True),
    )  # fmt: skip


def project_many(
    x: Tensor,
    matrix: Matrix,
    out: Tensor,
    card: Card,
    planes: Tensor,
    *,
    norm: Norm | None = None,
    mix: Mix | None = None,
    end: End = End.STORE,
) -> None:
    """As `project_naive`, the vectors rounded to the run dtype.  planes: room for B·K numbers of it."""
    check(matrix)
    B, K = x.shape
    if norm:
        mix_planes(x, norm, mix, planes, card)
        x = planes
    launch(
        many_kernel, (-(-matrix.rows // OUTPUTS),), x, matrix.values, out, B, matrix.rows,
        K, padded(B), OUTPUTS, WIDTH, int(end), card.sm == NO_CARD, card.dependent_launch,
        **options(card, 4, stages=STAGES, dependent=True),
    )  # fmt: skip
