"""Tiles of packed weights as whole numbers in fp32, for kernels to call; the formats: `engine.quant`.

A tile is [R,G,·]: R rows, G groups side by side, the numbers of a group. What is masked away is 0 and is not
read. Numbers come without their scale, so that a sum over a group is multiplied once.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def tile8(values, rows, groups, inside, W: tl.constexpr):
    """[R,G,64] of int8 values [·,W] at rows [R] and groups [G]; inside [R,G]."""
    at = rows[:, None, None] * W + groups[None, :, None] * 64 + tl.arange(0, 64)[None, None, :]
    return tl.load(values + at, mask=inside[:, :, None], other=0).to(tl.float32)


@triton.jit
def tile4(values, rows, groups, inside, W: tl.constexpr):
    """The first and the last 16 numbers of each group, [R,G,16] each, of int4 values [·,W/2]."""
    at = rows[:, None, None] * (W // 2) + groups[None, :, None] * 16 + tl.arange(0, 16)[None, None, :]
    both = tl.load(values + at, mask=inside[:, :, None], other=0x88)
    low = (both & 0xF).to(tl.float32) - 8
    high = (both >> 4).to(tl.float32) - 8
    return low, high


@triton.jit
def tile_scale(scale, rows, groups, inside, W: tl.constexpr, GROUP: tl.constexpr):
    """[R,G] of scale [·,W/GROUP], fp32."""
    at = rows[:, None] * (W // GROUP) + groups[None, :]
    return tl.load(scale + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def row_part(x, groups, inside, GROUP: tl.constexpr, BEGIN: tl.constexpr, COUNT: tl.constexpr):
    """COUNT numbers of each group from BEGIN on, [G,COUNT] fp32, of one row x [W]; inside [G]."""
    at = groups[:, None] * GROUP + BEGIN + tl.arange(0, COUNT)[None, :]
    return tl.load(x + at, mask=inside[:, None], other=0.0).to(tl.float32)


@triton.jit
def product(a, b, WIDE: tl.constexpr):
    """a·b in fp32. WIDE: the factors in fp32, too, since the interpreter takes bf16 for whole numbers."""
    return tl.dot(a.to(tl.float32), b.to(tl.float32)) if WIDE else tl.dot(a, b)
