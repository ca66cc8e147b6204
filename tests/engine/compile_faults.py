"""Kernels that are wrong on purpose: what `test_compile` must notice."""

from __future__ import annotations

import triton
import triton.language as tl

from engine.ops.cards import launch
from tests.engine.compiling import meta


@triton.jit
def hungry_kernel(x, y, N: tl.constexpr):
    """Holds N numbers in each program, all of them needed at the end."""
    at = tl.arange(0, N)
    numbers = tl.load(x + at)
    total = tl.sum(numbers)
    tl.store(y + at, tl.exp(numbers - total) / tl.sum(tl.exp(numbers - total)))


def spilling(dtype: object) -> None:
    """128 numbers for each thread, and no more than 32 registers."""
    x, y = meta((4096,), (4096,), dtype=dtype)
    launch(hungry_kernel, (1,), x, y, 4096, num_warps=1, maxnreg=32)


@triton.jit
def greedy_kernel(x, y, N: tl.constexpr):
    """Turns a tile, which goes through shared memory."""
    row, column = tl.arange(0, N)[:, None], tl.arange(0, N)[None, :]
    tile = tl.load(x + row * N + column)
    tl.store(y + row * N + column, tl.trans(tile))


def sharing(dtype: object) -> None:
    """A tile of 256 KB."""
    x, y = meta((256, 256), (256, 256), dtype=dtype)
    launch(greedy_kernel, (1,), x, y, 256, num_warps=8)
