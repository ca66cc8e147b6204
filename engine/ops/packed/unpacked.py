"""A packed weight written out in the run dtype: for products of many rows, which a library does best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import NO_CARD, card_of, launch, options
from engine.ops.packed.tiles import tile4, tile8, tile_scale
from engine.quant import group_of, width_of

if TYPE_CHECKING:
    from torch import Tensor

ROWS, NUMBERS = 4, 1024  # of one program
MANY = 64  # rows of activations from which on a library multiplies best
DOTS_FROM = 80  # on older cards a product in a kernel spills its registers


@triton.jit
def unpack_kernel(
    values, scale, out, R, W: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr, GROUPS: tl.constexpr
):
    """Rows and groups of one tile → out [R,W]."""
    rows = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    groups = tl.program_id(1) * GROUPS + tl.arange(0, GROUPS)
    inside = (rows < R)[:, None] & (groups < W // GROUP)[None, :]
    times = tile_scale(scale, rows, groups, inside, W, GROUP)[:, :, None]
    first = out + rows[:, None, None] * W + groups[None, :, None] * GROUP
    if GROUP == 64:
        found = tile8(values, rows, groups, inside, W) * times
        tl.store(
            first + tl.arange(0, 64)[None, None, :], found.to(out.dtype.element_ty), mask=inside[:, :, None]
        )
    else:
        low, high = tile4(values, rows, groups, inside, W)
        at = first + tl.arange(0, 16)[None, None, :]
        tl.store(at, (low * times).to(out.dtype.element_ty), mask=inside[:, :, None])
        tl.store(at + 16, (high * times).to(out.dtype.element_ty), mask=inside[:, :, None])


def unpacked(values: Tensor, scale: Tensor) -> Tensor:
    """[R,W] in the scale's dtype; the numbers of `engine.quant.unpack`, rounded to it."""
    R, W, group = values.shape[0], width_of(values), group_of(values)
    out = torch.empty(R, W, dtype=scale.dtype, device=values.device)
    groups = NUMBERS // group
    grid = (-(-R // ROWS), -(-W // NUMBERS))
    launch(
        unpack_kernel,
        grid,
        values,
        scale,
        out,
        R,
        W,
        group,
        ROWS,
        groups,
        **options(card_of(values.device), 4),
    )
    return out


def is_for_library(rows: Tensor, few: int) -> bool:
    """Whether rows [M,·] are multiplied by a weight that is written out before; `few` of them never are.

    Also where a gradient is wanted, which kernels do not give.
    """
    if torch.is_grad_enabled() and rows.requires_grad:
        return True
    card = card_of(rows.device)
    return len(rows) >= MANY or (len(rows) > few and NO_CARD < card.sm < DOTS_FROM)
