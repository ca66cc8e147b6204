"""wkv7 in Triton, what one chunk can say without the state: all chunks of all heads at once.

The names are those of `chunk.py`. There a chunk has 16 tokens; here up to 64, where P_t falls to exp(−39),
so the scores' factors are taken relative to the chunk's middle (within exp(±20): safe in fp32 and tf32).
What is masked away may be as large as exp(39), hence `where` and no product with zero.

Keys are worked on BK channels at a time and read again where they are needed again, since what a program
holds at once has to fit its registers.
"""

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl

from engine.ops.chunk_states.triton_dot import dot, rounded
from engine.ops.chunk_states.triton_tiles import (
    columns_of,
    decays_of,
    mask_scores,
    places_of,
    rows_of,
    store_tile,
)
from engine.ops.wkv7.triton_inverse import unit_inverse


@triton.jit
def _scores(
    r, log_w, k, a, b, places, fed,
    K: tl.constexpr, C: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Lab, Lak, Aqb, Aqk, [C,C]."""
    ab = tl.zeros((C, C), tl.float32)
    ak, rb, rk = ab, ab, ab
    for at in range(0, K, BK):
        step, prefix, middle, _ = decays_of(log_w, places, fed, at, K, C, BK)
        grown = tl.exp(middle - prefix)
        b_hat = tl.trans(rows_of(b, places, fed, at, K, BK) * grown)
        k_hat = tl.trans(rows_of(k, places, fed, at, K, BK) * grown)
        a_hat = rows_of(a, places, fed, at, K, BK) * tl.exp(prefix - step - middle)
        ab = dot(a_hat, b_hat, ab, PRECISION)
        ak = dot(a_hat, k_hat, ak, PRECISION)
        r_hat = rows_of(r, places, fed, at, K, BK) * tl.exp(prefix - middle)
        rb = dot(r_hat, b_hat, rb, PRECISION)
        rk = dot(r_hat, k_hat, rk, PRECISION)
    return (
        mask_scores(ab, C, False),
        mask_scores(ak, C, False),
        mask_scores(rb, C, True),
        mask_scores(rk, C, True),
    )


@triton.jit
def intra_kernel(
    r, log_w, k, v, a, b, lengths,
    total, q, update, reading, y0, by_state, own, inverse,
    T, H, n,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
    WITH_Y: tl.constexpr,
):  # fmt: skip
    """One chunk of one head: inputs [B,T,H,·] → `total` [G,n,K], `q` [G,n,K,K], `update` [G,n,K,V], `reading`
    [G,n,C,K], `y0` [G,n,C,V] (see `engine.ops.chunk_states`); U = by_state·X + own, [G,n,C,K] and [G,n,C,V];
    `inverse` [G,n,C,C]. WITH_Y `update` and `y0` are made, without it the last three.
    """
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    ab, ak, rb, rk = _scores(r, log_w, k, a, b, places, fed, K, C, BK, PRECISION)
    solve = unit_inverse(ab, C, PRECISION)
    v_c = rows_of(v, places, fed, 0, V, V)
    u = dot(solve, dot(ak, v_c, None, PRECISION), None, PRECISION)
    if WITH_Y:
        y = dot(rb, u, None, PRECISION)
        y = dot(rk, v_c, y, PRECISION)
        store_tile(y0 + chunk * C * V, y, 0, C, V, V)
    else:
        store_tile(own + chunk * C * V, u, 0, C, V, V)
        store_tile(inverse + chunk * C * C, solve, 0, C, C, C)

    for at in range(0, K, BK):
        step, prefix, _, last = decays_of(log_w, places, fed, at, K, C, BK)
        tl.store(total + chunk * K + at + tl.arange(0, BK), tl.exp(last))
        w = dot(solve, rows_of(a, places, fed, at, K, BK) * tl.exp(prefix - step), None, PRECISION)
        reads = rows_of(r, places, fed, at, K, BK) * tl.exp(prefix)
        reads = dot(rb, w, reads, PRECISION)
        store_tile(reading + chunk * C * K, reads, at, C, BK, K)
        if not WITH_Y:
            store_tile(by_state + chunk * C * K, w, at, C, BK, K)
        for to in range(0, K, BK):
            b_end = columns_of(b, log_w, places, fed, to, K, C, BK)
            product = dot(b_end, w, None, PRECISION)
            store_tile(q + chunk * K * K + to * K, rounded(product, PRECISION), at, BK, BK, K)
        if WITH_Y:
            new = dot(columns_of(b, log_w, places, fed, at, K, C, BK), u, None, PRECISION)
            new = dot(columns_of(k, log_w, places, fed, at, K, C, BK), v_c, new, PRECISION)
            store_tile(update + chunk * K * V + at * V, new, 0, BK, V, V)
