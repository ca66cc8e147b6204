"""A matrix [N,K] times one row of activations, and sums of a matrix's rows: for each form that weights have.

A kernel takes eight int64, most of them addresses: weights lie in a file's memory, or where PyTorch put them.

- `multiply_*(matrix, scale, K, x, digits, out, low, high)`: rows low … high → out [N] fp32; x fp32 [K],
  digits those of `digits.py`.
- `add_*(matrix, rows, count, C, low, width, shares, out)`: out fp32 [width] += the sum of shares[i] · the
  numbers from `low` on of row rows[i] of a matrix [.., C]; rows int64, shares fp32, [count] each. C and width
  are multiples of 16.
- `add_head_*(rows, shares, count, out)`: the same of all 64 columns of rows that lie one after the other.
"""

from __future__ import annotations

import numpy as np
from numba.np.numpy_support import carray

from engine.ops.token7.compiled import compiled, kernel
from engine.ops.token7.digits import BLOCK, GROUP, prepare_int4, prepare_int8, steps_of
from engine.ops.token7.machine import pointer
from engine.ops.token7.simd import FINE, columns_of, dot_bytes, dot_nibbles, dot_of, rows_of

EXTRA = 8  # bytes of a row of bytes behind its numbers: scale and offset, see engine.ops.ffn_value.byte_rows
_F0 = np.float32(0)


@compiled
def floats(address, count):
    """fp32 [count]."""
    return carray(pointer(address), (count,), np.float32)


@compiled
def _shorts(address, count):
    return carray(pointer(address), (count,), np.uint16)


# --------------------------------------------------------------------------------------------- products


_dot_fp32, _dot_bf16, _dot_fp16 = (dot_of(form) for form in ("fp32", "bf16", "fp16"))


@kernel
def multiply_fp32(matrix, _scale, K, x, _digits, out, low, high):
    to = floats(out, high)
    for n in range(low, high):
        to[n] = _dot_fp32(matrix + 4 * n * K, x, K // 32)


@kernel
def multiply_bf16(matrix, _scale, K, x, _digits, out, low, high):
    to = floats(out, high)
    for n in range(low, high):
        to[n] = _dot_bf16(matrix + 2 * n * K, x, K // 32)


@kernel
def multiply_fp16(matrix, _scale, K, x, _digits, out, low, high):
    to = floats(out, high)
    for n in range(low, high):
        to[n] = _dot_fp16(matrix + 2 * n * K, x, K // 32)


@compiled
def wide(bits):
    """fp32 of bf16's bits."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@kernel
def multiply_int8(matrix, scale, K, _x, digits, out, low, high):
    """A scale in bf16 for each row."""
    scales, to, steps = _shorts(scale, high), floats(out, high), steps_of(digits, K)
    for n in range(low, high):
        large, small = dot_bytes(matrix + n * K, digits, digits + K, K // 64)
        whole = (large - np.int64(steps[1])) * FINE + (small - np.int64(steps[2]))
        to[n] = np.float32(np.float64(whole) * steps[0] * wide(scales[n]))


@kernel
def multiply_int4(matrix, scale, K, _x, digits, out, low, high):
    """`engine.quant`'s form int4, scales in bf16."""
    row, its, less = K // 2, 2 * (K // GROUP), digits + 2 * K
    to, step = floats(out, high), np.float32(steps_of(digits, K)[0])
    for n in range(low, high):
        found = dot_nibbles(matrix + n * row, scale + n * its, digits, digits + K, less, K // BLOCK)
        to[n] = found * step


# ------------------------------------------------------------------------------------------ sums of rows


LANES = 16
TOGETHER = 4  # rows

_four_fp32, _one_fp32 = rows_of("fp32", TOGETHER), rows_of("fp32", 1)
_four_bf16, _one_bf16 = rows_of("bf16", TOGETHER), rows_of("bf16", 1)
_four_fp16, _one_fp16 = rows_of("fp16", TOGETHER), rows_of("fp16", 1)
_four_bytes, _one_bytes = rows_of("bytes", TOGETHER), rows_of("bytes", 1)


@kernel
def add_fp32(matrix, rows, count, C, low, width, shares, out):
    first, stride, whole = matrix + 4 * low, 4 * C, count // TOGETHER * TOGETHER
    for i in range(0, whole, TOGETHER):
        _four_fp32(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)
    for i in range(whole, count):
        _one_fp32(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)


@kernel
def add_bf16(matrix, rows, count, C, low, width, shares, out):
    first, stride, whole = matrix + 2 * low, 2 * C, count // TOGETHER * TOGETHER
    for i in range(0, whole, TOGETHER):
        _four_bf16(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)
    for i in range(whole, count):
        _one_bf16(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)


@kernel
def add_fp16(matrix, rows, count, C, low, width, shares, out):
    first, stride, whole = matrix + 2 * low, 2 * C, count // TOGETHER * TOGETHER
    for i in range(0, whole, TOGETHER):
        _four_fp16(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)
    for i in range(whole, count):
        _one_fp16(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)


@kernel
def add_bytes(matrix, rows, count, C, low, width, shares, out):
    """For the shares that `weigh_bytes` made."""
    first, stride, whole = matrix + low, C + EXTRA, count // TOGETHER * TOGETHER
    for i in range(0, whole, TOGETHER):
        _four_bytes(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)
    for i in range(whole, count):
        _one_bytes(first, stride, rows + 8 * i, shares + 4 * i, width // LANES, out)
    offset, to = floats(shares, count + 1)[count], floats(out, width)
    for c in range(width):
        to[c] += offset


@kernel
def weigh_bytes(matrix, rows, count, C, shares, _5, _6, _7):
    """A number is byte · scale + offset: shares become shares of bytes; behind them stands what is left."""
    chosen, share = carray(pointer(rows), (count,), np.int64), floats(shares, count + 1)
    offset = _F0
    for i in range(count):
        ends = floats(matrix + chosen[i] * (C + EXTRA) + C, 2)
        offset += share[i] * ends[1]
        share[i] *= ends[0]
    share[count] = offset


# ---------------------------------------------------------------------------------------- rows of a head

HEAD = 64  # columns: the head size of released models, which is added up in registers

_head_fp32, _head_bf16, _head_fp16 = (columns_of(form, HEAD // LANES) for form in ("fp32", "bf16", "fp16"))


@kernel
def add_head_fp32(rows, shares, count, out, _4, _5, _6, _7):
    _head_fp32(rows, shares, count, out)


@kernel
def add_head_bf16(rows, shares, count, out, _4, _5, _6, _7):
    _head_bf16(rows, shares, count, out)


@kernel
def add_head_fp16(rows, shares, count, out, _4, _5, _6, _7):
    _head_fp16(rows, shares, count, out)


HEADS = {"fp32": add_head_fp32, "bf16": add_head_bf16, "fp16": add_head_fp16}

# form of a matrix → its kernels: the product, what makes an input's digits; the sum, what makes its shares
PRODUCTS = {
    "fp32": (multiply_fp32, None),
    "bf16": (multiply_bf16, None),
    "fp16": (multiply_fp16, None),
    "int8": (multiply_int8, prepare_int8),
    "int4": (multiply_int4, prepare_int4),
}
SUMS = {
    "fp32": (add_fp32, None),
    "bf16": (add_bf16, None),
    "fp16": (add_fp16, None),
    "bytes": (add_bytes, weigh_bytes),
}
