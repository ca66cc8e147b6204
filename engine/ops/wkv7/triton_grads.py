"""wkv7 in Triton, the gradients of one chunk, given the states X and their gradients D at both of its ends.

The names are those of `chunk.py`; `gu` is G there, the gradient of (Â·Sᵀ + Lak·V). Three kernels, so that
each holds few tiles: the values first (U, G, dV), then the queries' side (r, a), then the keys' side (b,
k). No product is turned after it was made, which some compilers get wrong on Hopper: its transpose is made
as such, or read as such from memory.
"""

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl

from engine.ops.chunk_states.triton_dot import dot
from engine.ops.chunk_states.triton_tiles import (
    decays_of,
    load_tile,
    load_turned,
    mask_scores,
    mask_turned,
    places_of,
    rows_of,
    store_rows,
    store_tile,
)


@triton.jit
def _turned_scores(
    r, log_w, k, a, b, places, fed,
    K: tl.constexpr, C: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Aqbᵀ, Aqkᵀ, Lakᵀ, [C,C]."""
    br = tl.zeros((C, C), tl.float32)
    kr, ka = br, br
    for at in range(0, K, BK):
        step, prefix, middle, _ = decays_of(log_w, places, fed, at, K, C, BK)
        grown = tl.exp(middle - prefix)
        k_hat = rows_of(k, places, fed, at, K, BK) * grown
        r_hat = tl.trans(rows_of(r, places, fed, at, K, BK) * tl.exp(prefix - middle))
        br = dot(rows_of(b, places, fed, at, K, BK) * grown, r_hat, br, PRECISION)
        kr = dot(k_hat, r_hat, kr, PRECISION)
        a_hat = tl.trans(rows_of(a, places, fed, at, K, BK) * tl.exp(prefix - step - middle))
        ka = dot(k_hat, a_hat, ka, PRECISION)
    return mask_turned(br, C, True), mask_turned(kr, C, True), mask_turned(ka, C, False)


@triton.jit
def dvalues_kernel(
    r, log_w, k, a, b, lengths, dy, states, dstates, by_state, own, inverse, u, gu, dv, T, H, n,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """→ u, gu [G,n,C,V] and dv [B,T,H,V]."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    br, kr, ka = _turned_scores(r, log_w, k, a, b, places, fed, K, C, BK, PRECISION)
    dy_c = rows_of(dy, places, fed, 0, V, V)
    du = dot(br, dy_c, None, PRECISION)
    dv_c = dot(kr, dy_c, None, PRECISION)
    u_c = load_tile(own + chunk * C * V, 0, C, V, V)
    for at in range(0, K, BK):
        x = load_tile(states + (chunk + g) * K * V + at * V, 0, BK, V, V)
        u_c = dot(load_tile(by_state + chunk * C * K, at, C, BK, K), x, u_c, PRECISION)
        _, prefix, _, last = decays_of(log_w, places, fed, at, K, C, BK)
        shrunk = tl.exp(last - prefix)
        d = load_tile(dstates + (chunk + g + 1) * K * V + at * V, 0, BK, V, V)
        du = dot(rows_of(b, places, fed, at, K, BK) * shrunk, d, du, PRECISION)
        dv_c = dot(rows_of(k, places, fed, at, K, BK) * shrunk, d, dv_c, PRECISION)
    store_tile(u + chunk * C * V, u_c, 0, C, V, V)
    g_c = dot(load_turned(inverse + chunk * C * C, 0, C, C, C), du, None, PRECISION)
    store_tile(gu + chunk * C * V, g_c, 0, C, V, V)
    dv_c = dot(ka, g_c, dv_c, PRECISION)
    store_rows(dv, dv_c, places, c * C + tl.arange(0, C) < T, 0, V, V)


@triton.jit
def dqueries_kernel(
    r, log_w, k, v, a, b, lengths, dy, states, u, gu, dr, da, dlog_w, T, H, n,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """→ dr, da [B,T,H,K], and their part of dlog_w (fp32): token i decays what later r and a read."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    inside = c * C + tl.arange(0, C) < T
    rb = tl.zeros((C, C), tl.float32)
    rk, ab, ak = rb, rb, rb
    for at in range(0, V, BK):
        dy_c, g_c = rows_of(dy, places, fed, at, V, BK), load_tile(gu + chunk * C * V, at, C, BK, V)
        u_t = load_turned(u + chunk * C * V, at, BK, C, V)
        rb = dot(dy_c, u_t, rb, PRECISION)
        ab = dot(g_c, u_t, ab, PRECISION)
        v_t = tl.trans(rows_of(v, places, fed, at, V, BK))
        rk = dot(dy_c, v_t, rk, PRECISION)
        ak = dot(g_c, v_t, ak, PRECISION)
    rb, rk, ab, ak = (
        mask_scores(rb, C, True),
        mask_scores(rk, C, True),
        mask_scores(ab, C, False),
        mask_scores(ak, C, False),
    )
    for at in range(0, K, BK):
        step, prefix, middle, _ = decays_of(log_w, places, fed, at, K, C, BK)
        r_x = tl.zeros((C, BK), tl.float32)
        a_x = r_x
        for to in range(0, V, BK):
            x = load_turned(states + (chunk + g) * K * V + at * V, to, BK, BK, V)
            r_x = dot(rows_of(dy, places, fed, to, V, BK), x, r_x, PRECISION)
            a_x = dot(load_tile(gu + chunk * C * V, to, C, BK, V), x, a_x, PRECISION)
        # in units of exp(−middle), as the scores are
        grown, unit = tl.exp(middle - prefix), tl.exp(middle)[None, :]
        b_hat = rows_of(b, places, fed, at, K, BK) * grown
        dr_c = dot(rb, b_hat, r_x * unit, PRECISION)
        da_c = dot(ab, b_hat, a_x * unit, PRECISION)
        k_hat = rows_of(k, places, fed, at, K, BK) * grown
        dr_c = dot(rk, k_hat, dr_c, PRECISION) * tl.exp(prefix - middle)
        da_c = dot(ak, k_hat, da_c, PRECISION) * tl.exp(prefix - step - middle)
        store_rows(dr, dr_c, places, inside, at, K, BK)
        store_rows(da, da_c, places, inside, at, K, BK)
        span_a = rows_of(a, places, fed, at, K, BK) * da_c
        spans = tl.cumsum(rows_of(r, places, fed, at, K, BK) * dr_c + span_a, axis=0, reverse=True)
        store_rows(dlog_w, spans - span_a, places, inside, at, K, BK)


@triton.jit
def dkeys_kernel(
    r, log_w, k, v, a, b, lengths, dy, states, dstates, u, gu, dk, db, dlog_w, T, H, n,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """→ dk, db [B,T,H,K] and the whole of dlog_w, which `dqueries_kernel` began."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    inside = c * C + tl.arange(0, C) < T
    br = tl.zeros((C, C), tl.float32)
    kr, ba, ka = br, br, br
    for at in range(0, V, BK):
        u_c, v_c = load_tile(u + chunk * C * V, at, C, BK, V), rows_of(v, places, fed, at, V, BK)
        dy_t = tl.trans(rows_of(dy, places, fed, at, V, BK))
        br = dot(u_c, dy_t, br, PRECISION)
        kr = dot(v_c, dy_t, kr, PRECISION)
        g_t = load_turned(gu + chunk * C * V, at, BK, C, V)
        ba = dot(u_c, g_t, ba, PRECISION)
        ka = dot(v_c, g_t, ka, PRECISION)
    br, kr, ba, ka = (
        mask_turned(br, C, True),
        mask_turned(kr, C, True),
        mask_turned(ba, C, False),
        mask_turned(ka, C, False),
    )
    for at in range(0, K, BK):
        after = (chunk + g + 1) * K * V + at * V
        b_d = tl.zeros((C, BK), tl.float32)
        k_d = b_d
        x_d = tl.zeros((BK,), tl.float32)
        for to in range(0, V, BK):
            d = load_turned(dstates + after, to, BK, BK, V)
            b_d = dot(load_tile(u + chunk * C * V, to, C, BK, V), d, b_d, PRECISION)
            k_d = dot(rows_of(v, places, fed, to, V, BK), d, k_d, PRECISION)
            x_d += tl.sum(load_turned(states + after, to, BK, BK, V) * d, axis=0)
        step, prefix, middle, last = decays_of(log_w, places, fed, at, K, C, BK)
        # in units of exp(middle), as the scores are
        unit = tl.exp(last - middle)[None, :]
        r_hat = rows_of(r, places, fed, at, K, BK) * tl.exp(prefix - middle)
        db_c = dot(br, r_hat, b_d * unit, PRECISION)
        dk_c = dot(kr, r_hat, k_d * unit, PRECISION)
        a_hat = rows_of(a, places, fed, at, K, BK) * tl.exp(prefix - step - middle)
        grown = tl.exp(middle - prefix)
        db_c = dot(ba, a_hat, db_c, PRECISION) * grown
        dk_c = dot(ka, a_hat, dk_c, PRECISION) * grown
        store_rows(db, db_c, places, inside, at, K, BK)
        store_rows(dk, dk_c, places, inside, at, K, BK)
        spans = rows_of(b, places, fed, at, K, BK) * db_c + rows_of(k, places, fed, at, K, BK) * dk_c
        whole = (
            rows_of(dlog_w, places, fed, at, K, BK) - tl.cumsum(spans, axis=0, reverse=True) + x_d[None, :]
        )
        store_rows(dlog_w, tl.where(fed[:, None], whole, 0.0), places, inside, at, K, BK)
