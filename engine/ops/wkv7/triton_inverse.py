"""(I − L)⁻¹ of a strictly lower triangular L in a Triton kernel, without the growing powers of L.

The sum of all powers of L is exact too, but where the same key comes again and again the powers reach 10³
in 16 tokens and 10¹⁷ in 64 before they cancel. Instead the diagonal blocks of 16 are solved row by row,
all of them at once, and the blocks below by (I − D − E)⁻¹ = (I − N)⁻¹·(I − D)⁻¹ with N = (I − D)⁻¹·E; N⁴
is zero.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.ops.chunk_states.triton_dot import dot

BLOCK = tl.constexpr(16)


@triton.jit
def _inverse_of_blocks(lower, C: tl.constexpr):
    """(I − D)⁻¹ [C,C] for the diagonal blocks D of `lower`, by forward substitution."""
    NB: tl.constexpr = C // BLOCK
    i, blocks = tl.arange(0, BLOCK), tl.arange(0, NB)
    diagonal = blocks[:, None, None, None] == blocks[None, None, :, None]
    split = tl.reshape(lower, (NB, BLOCK, NB, BLOCK))
    d = tl.sum(tl.where(diagonal, split, 0.0), axis=2)
    inverse = tl.where(i[None, :, None] == i[None, None, :], 1.0, tl.zeros_like(d))
    for t in range(1, BLOCK):
        here = i[None, :, None] == t
        row = tl.sum(tl.where(here, d, 0.0), axis=1)
        solved = tl.sum(row[:, :, None] * inverse, axis=1)
        inverse = tl.where(here, inverse + solved[:, None, :], inverse)
    spread = tl.where(diagonal, inverse[:, :, None, :], tl.zeros_like(split))
    return tl.reshape(spread, (C, C))


@triton.jit
def unit_inverse(lower, C: tl.constexpr, PRECISION: tl.constexpr):
    """(I − lower)⁻¹ [C,C], C 16, 32 or 64."""
    tl.static_assert(C <= 4 * BLOCK, "N⁴ and above are left out")
    inverse = _inverse_of_blocks(lower, C)
    if C > BLOCK:
        rows = tl.arange(0, C) // BLOCK
        below = tl.where(rows[:, None] > rows[None, :], lower, 0.0)
        n = dot(inverse, below, None, PRECISION)
        if C > 2 * BLOCK:
            squared = dot(n, n, None, PRECISION)
            inverse = dot(squared, inverse, inverse, PRECISION)
        inverse = dot(n, inverse, inverse, PRECISION)
    return inverse
