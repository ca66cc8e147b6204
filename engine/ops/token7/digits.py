"""Activations for matrices of few bits: x ≈ step · (coarse + fine/256), coarse from −127 and fine
from −128, both to 127.

That is off by 1/32,512 of the largest at most. The memory of one such input of K numbers is K bytes of coarse
digits, K of fine ones, K/8 int32 of what is to be taken off (`dot_nibbles`), and three fp64: the step of a
product, and what is to be taken off the coarse and the fine sums (`dot_bytes`).
"""

from __future__ import annotations

import numpy as np
from numba.np.numpy_support import carray

from engine.ops.token7.compiled import compiled, kernel
from engine.ops.token7.machine import pointer
from engine.ops.token7.simd import FINE, FLIP

LARGEST = 127
GROUP, HALF, ZERO = 32, 16, 8  # of 4-bit numbers, see engine.quant
BLOCK = 128  # numbers of them that are taken together
STEPS = 3

_SIGN, _INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)


def bytes_of(K: int) -> int:
    """Of one input, K a multiple of `BLOCK`."""
    return 2 * K + K // 2 + 8 * STEPS


@compiled
def steps_of(digits, K):
    return carray(pointer(digits + 2 * K + K // 2), (STEPS,), np.float64)


@kernel
def prepare_int8(x, digits, K, _3, _4, _5, _6, _7):
    """Of x fp32 [K]."""
    steps = steps_of(digits, K)
    up = _step(x, K, steps)
    if up > 0:
        large, small = _digits(x, digits, digits + K, K, up)
        steps[1], steps[2] = FLIP * large, FLIP * small


@kernel
def prepare_int4(x, digits, K, _3, _4, _5, _6, _7):
    """Of four groups first all first halves, then all second ones, as `dot_nibbles` wants them."""
    up = _step(x, K, steps_of(digits, K))
    if up > 0:
        for half_group in range(K // HALF):
            block, place = divmod(half_group, BLOCK // HALF)
            group, half = divmod(place, 2)
            to = digits + block * BLOCK + half * (BLOCK // 2) + group * HALF
            _digits(x + 4 * half_group * HALF, to, to + K, HALF, up)
        _less(digits, K)


@compiled
def _step(x, K, steps):
    """1 / step; 0 if there is a number that is none: then so is every product."""
    largest = np.int32(0)
    for each in carray(pointer(x), (K,), np.int32):
        largest = max(largest, np.int32(each & _SIGN))
    if largest >= _INFINITE:
        steps[0] = np.nan
        return np.float32(0)
    top = np.int32(largest).view(np.float32) if largest else np.float32(1)
    steps[0] = np.float64(top) / (LARGEST * FINE)
    return np.float32(LARGEST) / top


@compiled
def _digits(x, coarse, fine, count, up):
    """Returns both sums."""
    exact = carray(pointer(x), (count,), np.float32)
    large, small = carray(pointer(coarse), (count,), np.int8), carray(pointer(fine), (count,), np.int8)
    large_sum, small_sum = np.int32(0), np.int32(0)
    for k in range(count):
        scaled = exact[k] * up
        whole = np.rint(scaled)
        rest = np.int32(min(np.rint((scaled - whole) * np.float32(FINE)), np.float32(LARGEST)))
        large[k], small[k] = np.int8(np.int32(whole)), np.int8(rest)
        large_sum += np.int32(whole)
        small_sum += rest
    return large_sum, small_sum


@compiled
def _less(digits, K):
    """What the zero of nibbles adds to each lane, which has four numbers of both halves."""
    coarse, fine = carray(pointer(digits), (K,), np.int8), carray(pointer(digits + K), (K,), np.int8)
    less = carray(pointer(digits + 2 * K), (K // 8,), np.int32)
    for lane in range(K // 8):
        start = lane // 16 * BLOCK + lane % 16 * 4
        total = np.int32(0)
        for place in range(4):
            first, second = start + place, start + place + BLOCK // 2
            total += np.int32(FINE) * (np.int32(coarse[first]) + np.int32(coarse[second]))
            total += np.int32(fine[first]) + np.int32(fine[second])
        less[lane] = np.int32(-ZERO * total)
