"""One token on a CUDA card: only the rows of hidden units that are not zero are read, from whatever form.

A program sums some columns over all units. It lists the units that are not zero (by a prefix sum over the
flags; every program does so for itself), then reads their pieces of rows. What is skipped is exactly 0; the
order of the sum follows from the list, so a result is the same at every run. No atomics, nothing is zeroed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import Card, launch, options
from engine.ops.ffn_value.configs import REGISTERS, sparse_config
from engine.ops.gemv.matrix import Matrix, check
from engine.ops.gemv.triton_parts import wait

if TYPE_CHECKING:
    from torch import Tensor


@triton.jit
def _listed(hidden, units, F: tl.constexpr, PART: tl.constexpr):
    """Writes the numbers of the units that are not zero to `units`, in order; returns how many there are."""
    count = 0
    for start in range(0, F, PART):
        at = start + tl.arange(0, PART)
        active = (tl.load(hidden + at, mask=at < F, other=0.0) != 0).to(tl.int32)
        places = count + tl.cumsum(active, 0)
        tl.store(units + places - 1, at, mask=active != 0)
        count += tl.sum(active)
    tl.debug_barrier()  # the whole program's stores, before any of its loads
    return count


@triton.jit
def _pieces(
    values, scales, unit, inside, column, C: tl.constexpr, COLUMNS: tl.constexpr, GROUP: tl.constexpr
):
    """Of each unit's row the columns [column, column + COLUMNS), and the scale of all of them."""
    if GROUP == 32:
        at = column // 2 + tl.arange(0, COLUMNS // 2)[None, :]
        numbers = tl.load(values + unit[:, None] * (C // 2) + at, mask=inside[:, None], other=0)
    else:
        at = column + tl.arange(0, COLUMNS)[None, :]
        numbers = tl.load(values + unit[:, None] * C + at, mask=inside[:, None] & (at < C), other=0)
    factor = tl.full([1], 1.0, tl.float32)
    if GROUP > 0:
        factor = tl.load(scales + unit * (C // GROUP) + column // GROUP, mask=inside, other=0.0).to(
            tl.float32
        )
    return numbers, factor


@triton.jit
def sparse_kernel(
    hidden, values, scales, units, x, normed, shift,
    F: tl.constexpr, C: tl.constexpr, PART: tl.constexpr, COLUMNS: tl.constexpr, R: tl.constexpr,
    GROUP: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: (row of the batch, columns)."""
    row, block = tl.program_id(0), tl.program_id(1)
    column = block * COLUMNS
    wait(PDL)
    hidden += row * F
    units += (row * tl.num_programs(1) + block) * F
    count = _listed(hidden, units, F, PART)
    WIDTH: tl.constexpr = COLUMNS // 2 if GROUP == 32 else COLUMNS
    low = tl.zeros([R, WIDTH], tl.float32)
    high = tl.zeros([R, WIDTH], tl.float32)
    for start in range(0, count, R):
        at = start + tl.arange(0, R)
        unit = tl.load(units + at, mask=at < count, other=0)
        activation = tl.load(hidden + unit, mask=at < count, other=0.0)
        numbers, factor = _pieces(values, scales, unit, at < count, column, C, COLUMNS, GROUP)
        activation = (activation * factor)[:, None]
        if GROUP == 32:
            low += ((numbers & 0xF).to(tl.float32) - 8) * activation
            high += ((numbers >> 4).to(tl.float32) - 8) * activation
        else:
            low += numbers.to(tl.float32) * activation
    # a number of columns [column, column + WIDTH); of int4 the high halves, 16 further on, come after
    at = column + tl.arange(0, WIDTH)
    _finish(x + row * C, normed + row * C, shift + row * C, at, tl.sum(low, axis=0), C)
    if GROUP == 32:
        _finish(x + row * C, normed + row * C, shift + row * C, at + 16, tl.sum(high, axis=0), C)


@triton.jit
def _finish(x, normed, shift, at, total, C: tl.constexpr):
    """Adds to the residual stream; and the normed vector becomes the next token's shift."""
    inside = at < C
    tl.store(x + at, tl.load(x + at, mask=inside) + total, mask=inside)
    tl.store(shift + at, tl.load(normed + at, mask=inside).to(shift.dtype.element_ty), mask=inside)


def ffn_value_sparse(
    hidden: Tensor, matrix: Matrix, x: Tensor, normed: Tensor, shift: Tensor, units: Tensor, card: Card
) -> None:
    """As `ffn_value_add_naive`.

    Args:
        units: int32, room for B·F numbers for each program (`units_room`); what is in it means nothing.
    """
    check(matrix)
    B, C = x.shape
    config = sparse_config(card, C, matrix.group)
    F = matrix.rows
    part = min(1 << (F - 1).bit_length(), config.listed)
    launch(
        sparse_kernel, (B, -(-C // config.columns)),
        hidden, matrix.values, matrix.scales, units, x, normed, shift,
        F, C, part, config.columns, config.rows(matrix.group), matrix.group, card.dependent_launch,
        **options(card, config.warps, dependent=True, registers=REGISTERS),
    )  # fmt: skip


def units_room(card: Card, batch: int, matrix: Matrix) -> int:
    """How many int32 `ffn_value_sparse` needs."""
    programs = -(-matrix.width // sparse_config(card, matrix.width, matrix.group).columns)
    return batch * programs * matrix.rows
