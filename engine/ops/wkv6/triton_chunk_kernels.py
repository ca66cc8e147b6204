"""wkv6 in Triton, one chunk of 16 tokens of one head: without the state, and its gradients given the states.

A decay may be as small as exp(−150), so nothing is divided by a product of decays: a loop over the chunk's
tokens keeps what is left of each earlier key, k_s·d_{s+1}·…·d_{t−1}, and each token's scores are read off
it. It costs no exponential but the decays' own, and a decay of zero is as good as any other. The gradient
of a decay is summed pair by pair for the same reason: as a difference of two sums it would drown in them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.ops.chunk_states.triton_dot import dot
from engine.ops.chunk_states.triton_tiles import (
    load_tile,
    load_turned,
    places_of,
    rows_of,
    store_rows,
    store_tile,
)

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

# exp of it is zero beside anything; a decay's gradient takes differences of sums of 16 of them, and is zero
# for what is smaller
SMALLEST_LOG_W = tl.constexpr(-40.0)


@triton.jit
def _row(x, t, C: tl.constexpr):
    """Row t of x [C,N], [N]."""
    return tl.sum(tl.where(tl.arange(0, C)[:, None] == t, x, 0.0), axis=0)


@triton.jit
def _column(x, t, C: tl.constexpr):
    """Column t of x [N,C], [N]."""
    return tl.sum(tl.where(tl.arange(0, C)[None, :] == t, x, 0.0), axis=1)


@triton.jit
def _log_w_of(log_w, stride_b, stride_t, stride_h, g, H, c, fed, C: tl.constexpr, K: tl.constexpr):
    """[C,K]; log_w may stand still along T (RWKV-5), so it comes with its strides."""
    t = (c * C + tl.arange(0, C)).to(tl.int64)
    at = (g // H) * stride_b + t * stride_t + (g % H) * stride_h
    return tl.load(log_w + at[:, None] + tl.arange(0, K)[None, :], mask=fed[:, None], other=0.0).to(
        tl.float32
    )


@triton.jit
def intra_kernel(
    r, log_w, k, v, u, lengths, total, update, reading, y0,
    stride_b, stride_t, stride_h, T, H, n,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """→ `total` [G,n,K], `update` [G,n,K,V], `reading` [G,n,C,K], `y0` [G,n,C,V]."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    i = tl.arange(0, C)
    decay = tl.exp(_log_w_of(log_w, stride_b, stride_t, stride_h, g, H, c, fed, C, K))
    r_c, k_c = rows_of(r, places, fed, 0, K, K), rows_of(k, places, fed, 0, K, K)
    bonus = tl.load(u + (g % H) * K + tl.arange(0, K)).to(tl.float32)
    own = tl.sum(r_c * bonus[None, :] * k_c, axis=1)
    scores = tl.where(i[:, None] == i[None, :], own[:, None], tl.zeros((C, C), tl.float32))
    left = tl.zeros((C, K), tl.float32)
    reads = left
    so_far = tl.full((K,), 1.0, tl.float32)
    for t in range(C):
        r_t, d_t = _row(r_c, t, C), _row(decay, t, C)
        scores += tl.where(i[:, None] == t, tl.sum(left * r_t[None, :], axis=1)[None, :], 0.0)
        reads += tl.where(i[:, None] == t, (r_t * so_far)[None, :], 0.0)
        left = left * d_t[None, :] + tl.where(i[:, None] == t, k_c, 0.0)
        so_far *= d_t
    v_c = rows_of(v, places, fed, 0, V, V)
    tl.store(total + chunk * K + tl.arange(0, K), so_far)
    store_tile(reading + chunk * C * K, reads, 0, C, K, K)
    store_tile(update + chunk * K * V, dot(tl.trans(left), v_c, None, PRECISION), 0, K, V, V)
    store_tile(y0 + chunk * C * V, dot(scores, v_c, None, PRECISION), 0, C, V, V)


@triton.jit
def _ascending(r_c, k_c, decay, dscores_t, C: tl.constexpr, K: tl.constexpr):
    """scoresᵀ without the bonus [C,C]; dr by the chunk's own keys [C,K]; P_{t−1} [C,K]; k·P_C/P_t [C,K]."""
    i = tl.arange(0, C)
    scores_t = tl.zeros((C, C), tl.float32)
    left = tl.zeros((C, K), tl.float32)
    dr, before = left, left
    so_far = tl.full((K,), 1.0, tl.float32)
    for t in range(C):
        here = i[:, None] == t
        r_t, d_t = _row(r_c, t, C), _row(decay, t, C)
        scores_t += tl.where(i[None, :] == t, tl.sum(left * r_t[None, :], axis=1)[:, None], 0.0)
        by_keys = tl.sum(left * _column(dscores_t, t, C)[:, None], axis=0)
        dr += tl.where(here, by_keys[None, :], 0.0)
        before += tl.where(here, so_far[None, :], 0.0)
        left = left * d_t[None, :] + tl.where(here, k_c, 0.0)
        so_far *= d_t
    return scores_t, dr, before, left


@triton.jit
def _descending(
    r_c, k_c, log_w, decay, dscores_t, dleft, read_by_state, through, C: tl.constexpr, K: tl.constexpr
):  # fmt: skip
    """dk by the chunk's own queries and by the last state, and dlog_w, both [C,K].

    dleft [C,K]: the gradient of k·P_C/P_t; read_by_state [C,K]: r·(its gradient through the first state);
    through [K]: what the whole chunk's decay contributes.
    """
    i = tl.arange(0, C)
    prefix = tl.cumsum(tl.maximum(log_w, SMALLEST_LOG_W), axis=0)
    dk = tl.zeros((C, K), tl.float32)
    dlog_w = dk
    for step in range(C):
        t = C - 1 - step
        here = i[:, None] == t
        dk += tl.where(here, dleft, 0.0)
        dleft = tl.where(here, 0.0, dleft)
        since = tl.minimum(_row(prefix, t, C)[None, :] - prefix, 0.0)
        left_after = tl.where(i[:, None] < t, k_c * tl.exp(since), 0.0)
        of_decay = tl.sum(dleft * left_after, axis=0) + through
        dlog_w += tl.where(here, of_decay[None, :], 0.0)
        through += _row(read_by_state, t, C)
        by_query = _column(dscores_t, t, C)[:, None] * _row(r_c, t, C)[None, :]
        dleft = dleft * _row(decay, t, C)[None, :] + by_query
    return dk, dlog_w


@triton.jit
def grads_kernel(
    r, log_w, k, v, u, lengths, dy, states, dstates, dr, dlog_w, dk, dv, du,
    stride_b, stride_t, stride_h, T, H, n,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """→ dr, dlog_w, dk, dv [B,T,H,·] and du [G,n,K], each chunk's part."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    inside = c * C + tl.arange(0, C) < T
    i = tl.arange(0, C)
    logs = _log_w_of(log_w, stride_b, stride_t, stride_h, g, H, c, fed, C, K)
    decay = tl.exp(logs)
    r_c, k_c = rows_of(r, places, fed, 0, K, K), rows_of(k, places, fed, 0, K, K)
    v_c, dy_c = rows_of(v, places, fed, 0, V, V), rows_of(dy, places, fed, 0, V, V)
    dscores_t = dot(v_c, tl.trans(dy_c), None, PRECISION)
    own = tl.sum(tl.where(i[:, None] == i[None, :], dscores_t, 0.0), axis=1)[:, None]
    dscores_t = tl.where(i[:, None] < i[None, :], dscores_t, 0.0)
    scores_t, dr_c, before, left = _ascending(r_c, k_c, decay, dscores_t, C, K)

    bonus = tl.load(u + (g % H) * K + tl.arange(0, K)).to(tl.float32)[None, :]
    bonus_scores = tl.sum(r_c * bonus * k_c, axis=1)
    scores_t += tl.where(i[:, None] == i[None, :], bonus_scores[:, None], 0.0)
    d = dstates + (chunk + g + 1) * K * V
    dv_c = dot(left, load_tile(d, 0, K, V, V), dot(scores_t, dy_c, None, PRECISION), PRECISION)
    store_rows(dv, dv_c, places, inside, 0, V, V)

    x_t, d_t = load_turned(states + (chunk + g) * K * V, 0, V, K, V), load_turned(d, 0, V, K, V)
    by_state = dot(dy_c, x_t, None, PRECISION) * before
    store_rows(dr, dr_c + by_state + own * bonus * k_c, places, inside, 0, K, K)
    last = tl.sum(logs, axis=0)
    dleft = dot(v_c, d_t, None, PRECISION)
    through = tl.exp(last) * tl.sum(x_t * d_t, axis=0)
    dk_c, dlog_w_c = _descending(r_c, k_c, logs, decay, dscores_t, dleft, r_c * by_state, through, C, K)
    store_rows(dk, dk_c + own * bonus * r_c, places, inside, 0, K, K)
    remembered = fed[:, None] & (logs >= SMALLEST_LOG_W)
    store_rows(dlog_w, tl.where(remembered, dlog_w_c, 0.0), places, inside, 0, K, K)
    tl.store(du + chunk * K + tl.arange(0, K), tl.sum(own * r_c * k_c, axis=0))
