"""A product of two fp32 tiles on tensor cores, in the precision that a launch was given.

    "ieee"    fp32 multiply-adds, without tensor cores
    "tf32x3"  three tf32 products: fp32 but for its last bits
    "tf32"    numbers of 11 significant bits, summed in fp32

The hardware cuts off what tf32 cannot hold, which makes every product smaller on average; so numbers are
rounded before (by an addition to their bits), which leaves a third of the error and no bias.
"""

from __future__ import annotations

import triton
import triton.language as tl

HALF_OF_LAST_BIT = tl.constexpr(0x1000)  # of the ten bits of a fraction that tf32 keeps


@triton.jit
def rounded(x, PRECISION: tl.constexpr):
    """x as the product will take it, bits beyond tf32's left for the hardware to cut."""
    if PRECISION == "tf32":
        return (x.to(tl.int32, bitcast=True) + HALF_OF_LAST_BIT).to(tl.float32, bitcast=True)
    return x


@triton.jit
def dot(x, y, acc, PRECISION: tl.constexpr):
    """x·y + acc, fp32; acc may be None."""
    return tl.dot(rounded(x, PRECISION), rounded(y, PRECISION), acc, input_precision=PRECISION)
