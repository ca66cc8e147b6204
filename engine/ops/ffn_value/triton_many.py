"""A batch of rows on a CUDA card: tensor cores, every unit's row read once for all of them.

Zeros are not skipped: two texts share few, and 64 almost none. A program takes a part of the units and writes
its sum to a place of its own; a second kernel adds the parts in order, so a result is the same at every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import NO_CARD, Card, launch, options
from engine.ops.gemv.matrix import Matrix, check
from engine.ops.gemv.triton_many import padded
from engine.ops.gemv.triton_parts import wait
from engine.ops.packed.tiles import product

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS, UNITS, PARTS, STAGES = 64, 64, 8, 3
WIDTH = 1024  # of the sum's programs


@triton.jit(do_not_specialize=["B"])
def ffn_value_many_kernel(
    hidden, values, parts, B,
    F: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, UNITS: tl.constexpr,
    PARTS: tl.constexpr, WIDE: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """parts [PARTS,B,C].  Programs: (columns, parts)."""
    part = tl.program_id(1)
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    m = tl.arange(0, ROWS)
    SHARE: tl.constexpr = (F + PARTS * UNITS - 1) // (PARTS * UNITS) * UNITS  # units of a part
    wait(PDL)
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(part * SHARE, tl.minimum((part + 1) * SHARE, F), UNITS):
        f = start + tl.arange(0, UNITS)
        there = (f < F)[:, None] & (c < C)[None, :]
        fed = (m < B)[:, None] & (f < F)[None, :]
        its = tl.load(hidden + m[:, None] * F + f[None, :], mask=fed, other=0.0)
        w = tl.load(values + f[:, None] * C + c[None, :], mask=there, other=0.0)
        largest = tl.maximum(tl.max(its), 1e-30)  # squares may be beyond fp16
        total += product((its / largest).to(w.dtype), w, WIDE) * largest
    inside = (m < B)[:, None] & (c < C)[None, :]
    tl.store(parts + (part * B + m[:, None]) * C + c[None, :], total, mask=inside)


@triton.jit(do_not_specialize=["numbers"])
def add_kernel(parts, x, normed, shift, numbers, PARTS: tl.constexpr, WIDTH: tl.constexpr, PDL: tl.constexpr):
    """x += the parts' sum; the normed vectors become the next token's shifts.  Programs: of [B,C]."""
    at = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    inside = at < numbers
    wait(PDL)
    total = tl.zeros([WIDTH], tl.float32)
    for part in range(PARTS):
        total += tl.load(parts + part * numbers + at, mask=inside, other=0.0)
    tl.store(x + at, tl.load(x + at, mask=inside, other=0.0) + total, mask=inside)
    tl.store(shift + at, tl.load(normed + at, mask=inside).to(shift.dtype.element_ty), mask=inside)


def ffn_value_many(
    hidden: Tensor, matrix: Matrix, x: Tensor, normed: Tensor, shift: Tensor, parts: Tensor, card: Card
) -> None:
    """As `ffn_value_add_naive`, activations rounded to the run dtype.  parts: room for PARTS·B·C fp32."""
    check(matrix)
    (B, C), F = x.shape, matrix.rows
    made = options(card, 4, stages=STAGES, dependent=True)
    launch(
        ffn_value_many_kernel, (-(-C // COLUMNS), PARTS), hidden, matrix.values, parts, B,
        F, C, padded(B), COLUMNS, UNITS, PARTS, card.sm == NO_CARD, card.dependent_launch, **made,
    )  # fmt: skip
    launch(
        add_kernel, (-(-B * C // WIDTH),), parts, x, normed, shift, B * C, PARTS, WIDTH,
        card.dependent_launch, **options(card, 4, dependent=True),
    )  # fmt: skip
