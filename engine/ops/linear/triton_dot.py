"""A few rows of activations (3 to 63) times a packed weight: tensor cores, the weight read once.

The weight is the left factor: its numbers come from registers, the activations from shared memory. int8's
whole numbers are exact in the run dtype, and a group's product is scaled in fp32; int4's are scaled before,
four groups at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import NO_CARD, card_of, launch, options
from engine.ops.packed.tiles import product, tile4, tile_scale
from engine.quant import group_of

if TYPE_CHECKING:
    from torch import Tensor

OUTPUTS = 32  # of one program
AT_ONCE4 = 4  # groups of int4


@triton.jit
def dot8_kernel(
    x, values, scale, out, M, N, K: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """x [M,K], packed rows [N,K] → out [M,N]; M up to ROWS."""
    m = tl.arange(0, ROWS)
    n = (tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)).to(tl.int64)
    total = tl.zeros((OUTPUTS, ROWS), tl.float32)
    for group in range(K // 64):
        k = group * 64 + tl.arange(0, 64)
        w = tl.load(values + n[:, None] * K + k[None, :], mask=(n < N)[:, None], other=0)
        its = tl.load(x + m[None, :] * K + k[:, None], mask=(m < M)[None, :], other=0.0)
        times = tl.load(scale + n * (K // 64) + group, mask=n < N, other=0.0).to(tl.float32)
        total += product(w.to(tl.float32).to(its.dtype), its, WIDE) * times[:, None]
    inside = (n < N)[:, None] & (m < M)[None, :]
    tl.store(out + m[None, :] * N + n[:, None], total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def dot4_kernel(
    x, values, scale, out, M, N, K: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr,
    GROUPS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The same of int4, GROUPS groups at once."""
    m = tl.arange(0, ROWS)
    n = (tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)).to(tl.int64)
    i = tl.arange(0, GROUPS * 16)
    total = tl.zeros((OUTPUTS, ROWS), tl.float32)
    for begin in range(0, K // 32, GROUPS):
        groups = begin + tl.arange(0, GROUPS)
        inside = (n < N)[:, None] & (groups < K // 32)[None, :]
        times = tile_scale(scale, n, groups, inside, K, 32)[:, :, None]
        low, high = tile4(values, n, groups, inside, K)
        k = (begin + i // 16) * 32 + i % 16
        fed = (k < K)[:, None] & (m < M)[None, :]
        of_low = tl.load(x + m[None, :] * K + k[:, None], mask=fed, other=0.0)
        of_high = tl.load(x + m[None, :] * K + k[:, None] + 16, mask=fed, other=0.0)
        total += product(tl.reshape(low * times, (OUTPUTS, GROUPS * 16)).to(of_low.dtype), of_low, WIDE)
        total += product(tl.reshape(high * times, (OUTPUTS, GROUPS * 16)).to(of_high.dtype), of_high, WIDE)
    inside = (n < N)[:, None] & (m < M)[None, :]
    tl.store(out + m[None, :] * N + n[:, None], total.to(out.dtype.element_ty), mask=inside)


def linear_dot(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x [M,K], M ≤ 64, contiguous, bf16 or fp16; weight and scale packed, rows [N,K] → [M,N]."""
    (M, K), N = x.shape, weight.shape[0]
    out = torch.empty(M, N, dtype=x.dtype, device=x.device)
    rows, grid, card = max(16, triton.next_power_of_2(M)), (-(-N // OUTPUTS),), card_of(x.device)
    wide = card.sm == NO_CARD
    if group_of(weight) == 64:
        made = options(card, 4, stages=4)
        launch(dot8_kernel, grid, x, weight, scale, out, M, N, K, rows, OUTPUTS, wide, **made)
    else:
        made = options(card, 4, stages=3)
        launch(dot4_kernel, grid, x, weight, scale, out, M, N, K, rows, OUTPUTS, AT_ONCE4, wide, **made)
    return out
