"""The scan over chunks and the reading of states as Triton kernels; see the package's docstring.

The scan is the one thing that goes chunk by chunk, so its programs split V: 32 heads make 64 or 128
programs. The state stays in fp32 registers, and only the product with Q rounds it (`precision`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options
from engine.ops.chunk_states.triton_dot import dot, rounded
from engine.ops.chunk_states.triton_tiles import load_turned, places_of, rows_of, store_tile

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

if TYPE_CHECKING:
    from torch import Tensor

# programs wanted before V is split no further
ENOUGH_PROGRAMS = 256


@triton.jit
def scan_kernel(
    total,
    q,
    update,
    first,
    states,
    n,
    K: tl.constexpr,
    V: tl.constexpr,
    BV: tl.constexpr,
    REVERSE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """total [G,n,K], q [G,n,K,K] or None, update [G,n,K,V], first [G,V,K] → states [G,n+1,K,V]."""
    g = tl.program_id(0).to(tl.int64)
    keys = tl.arange(0, K)
    values = tl.program_id(1) * BV + tl.arange(0, BV)
    here = keys[:, None] * V + values[None, :]
    q_there = keys[None, :] * K + keys[:, None] if REVERSE else keys[:, None] * K + keys[None, :]
    x = tl.load(first + g * K * V + values[None, :] * K + keys[:, None]).to(tl.float32)
    begin = g * (n + 1)
    tl.store(states + (begin + (n if REVERSE else 0)) * K * V + here, x)
    for i in range(n):
        c = n - 1 - i if REVERSE else i
        chunk = g * n + c
        new = tl.load(total + chunk * K + keys)[:, None] * x + tl.load(update + chunk * K * V + here)
        if q is not None:
            # q was rounded where it was made, so that it may come by an asynchronous copy
            turn = tl.load(q + chunk * K * K + q_there)
            new = tl.dot(turn, rounded(x, PRECISION), new, input_precision=PRECISION)
        x = new
        tl.store(states + (begin + (c if REVERSE else c + 1)) * K * V + here, x)


@triton.jit
def read_kernel(
    y0,
    reading,
    states,
    y,
    T,
    H,
    n,
    K: tl.constexpr,
    V: tl.constexpr,
    C: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """y0 [G,n,C,V], reading [G,n,C,K], states [G,n+1,K,V] → y [B,T,H,V]."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    rows, keys, values = tl.arange(0, C), tl.arange(0, K), tl.arange(0, V)
    chunk = g * n + c
    own = tl.load(y0 + chunk * C * V + rows[:, None] * V + values[None, :])
    r = tl.load(reading + chunk * C * K + rows[:, None] * K + keys[None, :])
    x = tl.load(states + (g * (n + 1) + c) * K * V + keys[:, None] * V + values[None, :])
    out = dot(r, x, own, PRECISION)
    t = c * C + rows
    to = ((g // H) * T + t[:, None]) * H * V + (g % H) * V + values[None, :]
    tl.store(y + to, out, mask=t[:, None] < T)


@triton.jit
def unread_kernel(
    dy,
    reading,
    lengths,
    dupdate,
    T,
    H,
    n,
    K: tl.constexpr,
    V: tl.constexpr,
    C: tl.constexpr,
    BK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dy [B,T,H,V], reading [G,n,C,K] → readingᵀ·dy [G,n,K,V]."""
    c = tl.program_id(0)
    g = tl.program_id(1).to(tl.int64)
    chunk = g * n + c
    places, fed = places_of(T, lengths, g, H, c, C)
    dy_c = rows_of(dy, places, fed, 0, V, V)
    for at in range(0, K, BK):
        turned = load_turned(reading + chunk * C * K, at, BK, C, K)
        out = dot(turned, dy_c, None, PRECISION)
        store_tile(dupdate + chunk * K * V + at * V, out, 0, BK, V, V)


def values_per_program(G: int, V: int) -> int:
    """Value channels of one program of the scan: fewer while that leaves too few programs."""
    BV = V
    while BV > 16 and G * (V // BV) < ENOUGH_PROGRAMS:
        BV //= 2
    return BV


def scan(
    total: Tensor, q: Tensor | None, update: Tensor, first: Tensor, *, reverse: bool, precision: str
) -> Tensor:
    """The states before and after every chunk, in order of time.

    Args:
        total: [G,n,K], the decay of each chunk.  update: [G,n,K,V].  q: [G,n,K,K], or None for zero.
        first: [G,V,K], the state before the first chunk; with `reverse` the gradient after the last.
        reverse: from the last chunk to the first, with q turned.

    Returns [G,n+1,K,V], fp32.
    """
    G, n, K, V = update.shape
    states = update.new_empty(G, n + 1, K, V)
    BV = values_per_program(G, V)
    # without tensor cores a thread would hold too much of the product
    built = options(card_of(update.device), 8 if precision == "ieee" else 4, stages=3)
    sizes = K, V, BV, reverse, precision
    launch(scan_kernel, (G, V // BV), total, q, update, first, states, n, *sizes, **built)
    return states


def read(y0: Tensor, reading: Tensor, states: Tensor, B: int, T: int, precision: str) -> Tensor:
    """y0 [G,n,C,V] + reading [G,n,C,K] · states [G,n+1,K,V] as [B,T,H,V]."""
    G, n, C, V = y0.shape
    H, K = G // B, reading.shape[-1]
    y = torch.empty(B, T, H, V, dtype=y0.dtype, device=y0.device)
    built = options(card_of(y.device), 4)
    launch(read_kernel, (n, G), y0, reading, states, y, T, H, n, K, V, C, precision, **built)
    return y


def unread(dy: Tensor, reading: Tensor, lengths: Tensor | None, precision: str) -> Tensor:
    """The gradient of `read` by the states, [G,n,K,V]: what a chunk's dy says of the state before it."""
    _, T, H, V = dy.shape
    G, n, C, K = reading.shape
    dupdate = reading.new_empty(G, n, K, V)
    sizes = T, H, n, K, V, C, min(K, 16), precision
    built = options(card_of(dy.device), 4)
    launch(unread_kernel, (n, G), dy, reading, lengths, dupdate, *sizes, **built)
    return dupdate
