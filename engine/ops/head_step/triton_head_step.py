"""One program for each head and row of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from engine.ops.cards import Card, launch, options
from engine.ops.gemv.triton_parts import wait

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.head_step.arguments import HeadStates, HeadStep

LARGE_RANKS = 768  # beyond, a head's low-rank numbers do not fit the registers all at once


@triton.jit
def _columns(
    low_rank, channels, START: tl.constexpr, RANK: tl.constexpr, R: tl.constexpr, BLOCK: tl.constexpr
):
    """[N,BLOCK] of the low-rank matrix: one network's columns."""
    at = tl.arange(0, BLOCK)[None, :]
    return tl.load(low_rank + channels[:, None] * R + START + at, mask=at < RANK, other=0.0)


@triton.jit
def _product(columns, hidden, START: tl.constexpr, RANK: tl.constexpr, BLOCK: tl.constexpr):
    """[N]: columns times one network's hidden vector."""
    at = tl.arange(0, BLOCK)
    vector = tl.load(hidden + START + at, mask=at < RANK, other=0.0)
    return tl.sum(columns.to(tl.float32) * vector[None, :], axis=1)


@triton.jit
def _vector(pointer, channels):
    return tl.load(pointer + channels).to(tl.float32)


@triton.jit
def head_step_kernel(
    rkv, hidden, normed, low_rank, w0, a0, v0, k_k, k_a, r_k, norm_weight, norm_bias, wkv, shift, v_first, y,
    C: tl.constexpr, N: tl.constexpr,
    RANK_W: tl.constexpr, RANK_A: tl.constexpr, RANK_V: tl.constexpr, RANK_G: tl.constexpr,
    BLOCK_W: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_G: tl.constexpr,
    LATE: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Programs: (row of the batch, head)."""
    row, head = tl.program_id(0), tl.program_id(1)
    A: tl.constexpr = RANK_W
    V: tl.constexpr = A + RANK_A
    G: tl.constexpr = V + RANK_V
    R: tl.constexpr = G + RANK_G
    n = tl.arange(0, N)
    c = head * N + n
    columns_w = _columns(low_rank, c, 0, RANK_W, R, BLOCK_W)
    columns_a = _columns(low_rank, c, A, RANK_A, R, BLOCK_A)
    columns_g, columns_v = columns_w, columns_w
    if not LATE:
        columns_g = _columns(low_rank, c, G, RANK_G, R, BLOCK_G)
        columns_v = _columns(low_rank, c, V, RANK_V, R, BLOCK_V)
    wkv += (row * (C // N) + head).to(tl.int64) * N * N + n[:, None] * N + n[None, :]
    state = tl.load(wkv)  # written by the token before, many kernels ago
    its_w0, its_a0, its_v0 = _vector(w0, c), _vector(a0, c), _vector(v0, c)
    its_k_k, its_k_a, its_r_k = _vector(k_k, c), _vector(k_a, c), _vector(r_k, c)
    weight, bias = _vector(norm_weight, c), _vector(norm_bias, c)
    wait(PDL)
    at = row * C + c
    hidden += row * R
    decay_logit = its_w0 + _product(columns_w, hidden, 0, RANK_W, BLOCK_W)
    decay = tl.exp(-0.606531 * tl.sigmoid(decay_logit))
    iclr = tl.sigmoid(its_a0 + _product(columns_a, hidden, A, RANK_A, BLOCK_A))
    if LATE:  # the others' registers are free now
        columns_v = _columns(low_rank, c, V, RANK_V, R, BLOCK_V)
        columns_g = _columns(low_rank, c, G, RANK_G, R, BLOCK_G)
    r = tl.load(rkv + row * 3 * C + c)
    k = tl.load(rkv + row * 3 * C + C + c)
    v = tl.load(rkv + row * 3 * C + 2 * C + c)
    tl.store(shift + at, tl.load(normed + at).to(shift.dtype.element_ty))
    if RANK_V > 0:
        mixture = tl.sigmoid(its_v0 + _product(columns_v, hidden, V, RANK_V, BLOCK_V))
        v += (tl.load(v_first + at) - v) * mixture
    else:
        tl.store(v_first + at, v)
    kappa = k * its_k_k
    kappa /= tl.maximum(tl.sqrt(tl.sum(kappa * kappa)), 1e-12)
    k *= 1 + (iclr - 1) * its_k_a
    removed = -tl.sum(state * kappa[None, :], axis=1)
    state = state * decay[None, :] + removed[:, None] * (kappa * iclr)[None, :] + v[:, None] * k[None, :]
    tl.store(wkv, state)
    out = tl.sum(state * r[None, :], axis=1)
    out -= tl.sum(out) / N
    out *= tl.rsqrt(tl.sum(out * out) / N + EPS)
    out = out * weight + bias
    gate = _product(columns_g, hidden, G, RANK_G, BLOCK_G)
    bonus = tl.sum(r * k * its_r_k)
    tl.store(y + at, (out + bonus * v) * gate)


def head_step(rkv: Tensor, hidden: Tensor, w: HeadStep, states: HeadStates, y: Tensor, card: Card) -> None:
    """As `head_step_naive`."""
    B, C = y.shape
    H, N = w.r_k.shape
    large = sum(w.ranks) > LARGE_RANKS
    blocks = (max(16, 1 << (rank - 1).bit_length()) for rank in w.ranks)
    launch(
        head_step_kernel, (B, H),
        rkv, hidden, states.normed, w.low_rank, w.w0, w.a0, w.v0, w.k_k, w.k_a, w.r_k, *w.norm[:2],
        states.wkv, states.shift, states.v_first, y, C, N, *w.ranks, *blocks,
        large, w.norm.eps, card.dependent_launch, **options(card, 8, dependent=True),
    )  # fmt: skip
