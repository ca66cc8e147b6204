"""What the kernels of a decode step are made of. Everything is computed in fp32.

A tile is R rows of a matrix in their whole width, BLOCK numbers each (the next power of two; what is beyond
K is not read). GROUP tells the form: 0 plain, 64 int8, 32 int4. A tile is [R,BLOCK], in groups
[R,BLOCK/64,64] of numbers or [R,BLOCK/32,16] of bytes; the vector lies alike, for int4 in two halves.
"""

# Triton's functions return what Triton makes of them, which a type checker cannot know:
# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

STORE, ADD, SQUARED_RELU = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def wait(PDL: tl.constexpr):
    """Until the kernel before is done, with all that it wrote. Then the kernel after may begin.

    In this order: so no more than two kernels run at once, and whatever an older one wrote may be read before
    the wait. Every program must come by here; nothing is written before it.
    """
    if PDL:
        gdc_wait()
        gdc_launch_dependents()


@triton.jit
def statistics(x, C: tl.constexpr, BLOCK: tl.constexpr, EPS: tl.constexpr):
    """Mean and 1/deviation of a row x [C]."""
    at = tl.arange(0, BLOCK)
    row = tl.load(x + at, mask=at < C, other=0.0).to(tl.float32)
    mean = tl.sum(row) / C
    apart = tl.where(at < C, row - mean, 0.0)
    return mean, tl.rsqrt(tl.sum(apart * apart) / C + EPS)


@triton.jit
def numbers_at(pointer, at, C: tl.constexpr):
    """A vector's numbers at some places, as they are stored; 0 beyond C."""
    return tl.load(pointer + at, mask=at < C, other=0.0)


@triton.jit
def normed(x, weight, bias, mean, rstd):
    """LayerNorm of some numbers of a row."""
    return (x.to(tl.float32) - mean) * rstd * weight.to(tl.float32) + bias.to(tl.float32)


@triton.jit
def keep(x, weight, bias, kept, mean, rstd, C: tl.constexpr, BLOCK: tl.constexpr):
    """Writes the whole normed row: what becomes the next token's shift."""
    at = tl.arange(0, BLOCK)
    row = normed(numbers_at(x, at, C), numbers_at(weight, at, C), numbers_at(bias, at, C), mean, rstd)
    tl.store(kept + at, row, mask=at < C)


@triton.jit
def mixed(x, before, share):
    """The token shift: x + (before − x)·share."""
    return x + (before.to(tl.float32) - x) * share.to(tl.float32)


@triton.jit
def places(BLOCK: tl.constexpr, GROUP: tl.constexpr):
    """Which numbers of a row (int4: its low halves) lie where in a tile."""
    if GROUP == 0:
        at = tl.arange(0, BLOCK)
    elif GROUP == 64:
        at = tl.arange(0, BLOCK // 64)[:, None] * 64 + tl.arange(0, 64)[None, :]
    else:
        at = tl.arange(0, BLOCK // 32)[:, None] * 32 + tl.arange(0, 16)[None, :]
    return at


@triton.jit
def tile(values, scales, rows, end, K: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr):
    """The values and the scales of some rows, as they are stored; 0 from row `end` on."""
    inside = rows < end
    if GROUP == 0:
        at = tl.arange(0, BLOCK)[None, :]
        numbers = _streamed(values + rows[:, None] * K + at, inside[:, None] & (at < K))
        factors = tl.zeros([1], tl.float32)
    else:
        WIDTH: tl.constexpr = 64 if GROUP == 64 else 16
        group = tl.arange(0, BLOCK // GROUP)[None, :]
        at = group[:, :, None] * WIDTH + tl.arange(0, WIDTH)[None, None, :]
        LENGTH: tl.constexpr = K // GROUP * WIDTH
        numbers = _streamed(values + rows[:, None, None] * LENGTH + at, inside[:, None, None] & (at < LENGTH))
        factors = _streamed(
            scales + rows[:, None] * (K // GROUP) + group, inside[:, None] & (group < K // GROUP)
        )
    return numbers, factors


@triton.jit
def _streamed(pointers, inside):
    """Read once in a token: what is used again shall stay in the cache instead."""
    return tl.load(pointers, mask=inside, other=0, eviction_policy="evict_first")


@triton.jit
def sums(numbers, factors, low, high, GROUP: tl.constexpr):
    """The products' sums of each row of a tile, [R]."""
    if GROUP == 0:
        total = tl.sum(numbers.to(tl.float32) * low[None, :], axis=1)
    elif GROUP == 64:
        of_groups = tl.sum(numbers.to(tl.float32) * low[None, :, :], axis=2)
        total = tl.sum(of_groups * factors.to(tl.float32), axis=1)
    else:
        below = (numbers & 0xF).to(tl.float32) * low[None, :, :]
        of_groups = tl.sum(below + (numbers >> 4).to(tl.float32) * high[None, :, :], axis=2)
        of_groups -= 8.0 * tl.sum(low + high, axis=1)[None, :]  # nibble 8 stands for 0
        total = tl.sum(of_groups * factors.to(tl.float32), axis=1)
    return total


@triton.jit
def project_rows(
    numbers, factors, values, scales, low, high, out, first, end, steps,
    K: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, GROUP: tl.constexpr, END: tl.constexpr,
):  # fmt: skip
    """out[first … first + steps·R − 1], the first tile being read already; the next is read ahead."""
    for step in range(steps):
        rows = first + step * R + tl.arange(0, R)
        numbers_next, factors_next = tile(values, scales, rows + R, end, K, BLOCK, GROUP)
        total = sums(numbers, factors, low, high, GROUP)
        if END == ADD:
            total += tl.load(out + rows, mask=rows < end, other=0.0)
        if END == SQUARED_RELU:
            total = tl.where(total < 0, 0.0, total)  # not a maximum: what is no number stays none
            total *= total
        tl.store(out + rows, total, mask=rows < end)
        numbers, factors = numbers_next, factors_next
