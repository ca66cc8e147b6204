"""What the chunk kernels share: a chunk's rows of a tensor, its decays, masks, tiles in memory."""

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def places_of(T, lengths, g, H, c, C: tl.constexpr):
    """Where a chunk's tokens of one head stand in [B,T,H], int64 [C], and which of them are fed."""
    b = g // H
    t = c * C + tl.arange(0, C)
    end = T
    if lengths is not None:
        end = tl.minimum(tl.load(lengths + b).to(tl.int32), T)
    return (b * T + t) * H + g % H, t < end


@triton.jit
def rows_of(x, places, fed, at, N: tl.constexpr, BN: tl.constexpr):
    """Channels at … at+BN of x [B,T,H,N], fp32 [C,BN]; zeros where nothing is fed, which change no state."""
    channels = at + tl.arange(0, BN)
    return tl.load(x + places[:, None] * N + channels[None, :], mask=fed[:, None], other=0.0).to(tl.float32)


@triton.jit
def decays_of(log_w, places, fed, at, K: tl.constexpr, C: tl.constexpr, BK: tl.constexpr):
    """Logarithms: of each token's decay [C,BK], of P_t [C,BK], of P in the middle [BK], of P_C [BK]."""
    step = rows_of(log_w, places, fed, at, K, BK)
    prefix = tl.cumsum(step, axis=0)
    middle = tl.sum(tl.where(tl.arange(0, C)[:, None] == C // 2 - 1, prefix, 0.0), axis=0)
    return step, prefix, middle, tl.sum(step, axis=0)


@triton.jit
def columns_of(x, log_w, places, fed, at, K: tl.constexpr, C: tl.constexpr, BK: tl.constexpr):
    """(x·P_C/P_t)ᵀ [BK,C]: what the tokens of x [B,T,H,K] still are at the chunk's end."""
    _, prefix, _, last = decays_of(log_w, places, fed, at, K, C, BK)
    return tl.trans(rows_of(x, places, fed, at, K, BK) * tl.exp(last - prefix))


@triton.jit
def mask_scores(scores, C: tl.constexpr, SELF: tl.constexpr):
    """[C,C] with zeros unless the column's token is before the row's, or also the same (`SELF`)."""
    i = tl.arange(0, C)
    return tl.where(i[:, None] >= i[None, :] if SELF else i[:, None] > i[None, :], scores, 0.0)


@triton.jit
def mask_turned(scores, C: tl.constexpr, SELF: tl.constexpr):
    """The same for scores whose rows are the keys and whose columns are the queries."""
    i = tl.arange(0, C)
    return tl.where(i[:, None] <= i[None, :] if SELF else i[:, None] < i[None, :], scores, 0.0)


@triton.jit
def store_rows(to, x, places, inside, at, N: tl.constexpr, BN: tl.constexpr):
    """x [C,BN] into channels at … at+BN of [B,T,H,N], where there is a token (fed or not)."""
    tl.store(to + places[:, None] * N + (at + tl.arange(0, BN))[None, :], x, mask=inside[:, None])


@triton.jit
def store_tile(to, x, at, ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr):
    """x [ROWS,COLUMNS] into a matrix of rows of WIDTH numbers at `to`, from its column `at` on."""
    tl.store(to + tl.arange(0, ROWS)[:, None] * WIDTH + (at + tl.arange(0, COLUMNS))[None, :], x)


@triton.jit
def load_tile(x, at, ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr):
    """[ROWS,COLUMNS] of the matrix at x, from its column `at` on."""
    return tl.load(x + tl.arange(0, ROWS)[:, None] * WIDTH + (at + tl.arange(0, COLUMNS))[None, :])


@triton.jit
def load_turned(x, at, ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr):
    """[ROWS,COLUMNS] of the transpose of the matrix at x, from the matrix's column `at` on."""
    return tl.load(x + tl.arange(0, COLUMNS)[None, :] * WIDTH + (at + tl.arange(0, ROWS))[:, None])
