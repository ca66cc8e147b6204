"""One token through all layers, as one function that every thread of a team runs at the same time.

A phase is work that needs nothing of the same phase: rows of matrices, heads, columns. It is cut into pieces,
and each thread takes the next piece until there is none; then all wait for each other. Between phases each
thread computes norms, mixtures and digits of whole vectors for itself: quicker than waiting once more.
"""

from __future__ import annotations

import numpy as np

from engine.ops.token7 import tables as at
from engine.ops.token7.compiled import compiled, kept
from engine.ops.token7.kernels import floats
from engine.ops.token7.layer import mix, normalise, prepare_head, read_out, recur
from engine.ops.token7.machine import call, fetch, fetch_add, let_others
from engine.ops.token7.maths import sigmoid, tanh

PIECE = 32  # rows of a matrix
COLUMNS = 512
SPINS = 2000  # of waiting, before another thread is let on the processor
_F0 = np.float32(0)


# ------------------------------------------------------------------------------------------------ team


@compiled
def _next(shared, phase):
    """The next piece of a phase."""
    return fetch_add(shared.ctypes.data + 8 * (at.COUNTERS + phase), 1)


@compiled
def _wait(shared, phase, threads):
    """Until all have done this phase."""
    if threads == 1:
        return
    arrived = shared.ctypes.data + 8 * at.ARRIVED
    fetch_add(arrived, 1)
    spins = 0
    while fetch(arrived) < (phase + 1) * threads:
        spins += 1
        if spins > SPINS:
            let_others()


@compiled
def _leave(shared, thread, threads):
    """The first thread goes last: what is shared may then be used again."""
    left = shared.ctypes.data + 8 * at.LEFT
    if thread:
        fetch_add(left, 1)
        return
    while fetch(left) < threads - 1:
        let_others()


# ---------------------------------------------------------------------------------------------- phases


@compiled
def _address(x):
    return x.ctypes.data


@compiled
def _prepare(line, column, x, digits):
    if line[column + at.PREPARE]:
        call(line[column + at.PREPARE], _address(x), _address(digits), len(x), 0, 0, 0, 0, 0)


@compiled
def _rows(line, column, x, digits, out, piece):
    """A piece of a matrix's product."""
    low = piece * PIECE
    high = min(low + PIECE, len(out))
    call(line[column + at.MULTIPLY], line[column], line[column + at.SCALE], len(x), _address(x),
         _address(digits), _address(out), low, high)  # fmt: skip


@compiled
def _inputs(line, sizes, own, rkv, hidden, digits, shared, phase):
    """r, k, v [3,C], and the low-rank pairs' middle, `hidden`."""
    pieces = -(-sizes[at.WIDTH] // PIECE)
    while True:
        piece = _next(shared, phase)
        if piece >= 3 * pieces + 4:
            return
        if piece >= 3 * pieces:
            _low_rank_input(line, sizes, own, hidden, piece - 3 * pieces)
            continue
        which = piece // pieces
        mixed = own[at.MIXED_R if which == 0 else at.MIXED_K if which == 1 else at.MIXED_V]
        column = at.RECEPTANCE + at.MATRIX_COLUMNS * which
        _rows(line, column, mixed, digits[which], rkv[which], piece % pieces)


@compiled
def _low_rank_rows(sizes, which):
    """Where the rows of one of the four begin, and how many: a constant's, where it has one, and R."""
    first = 0
    for other in range(which):
        first += sizes[at.RANK_W + other] + 1
    return first, sizes[at.RANK_W + which] + (1 if which < 3 else 0)


@compiled
def _low_rank_input(line, sizes, own, hidden, which):
    """One of the four, in the order w, a, v, g."""
    first, count = _low_rank_rows(sizes, which)
    rank = sizes[at.RANK_W + which]
    out = hidden[first + count - rank : first + count]
    x = own[
        at.MIXED_W if which == 0 else at.MIXED_A if which == 1 else at.MIXED_V if which == 2 else at.MIXED_G
    ]
    call(line[at.LOW_MULTIPLY], line[at.LOW_W + which], 0, len(x), _address(x), 0, _address(out), 0, rank)
    if which == 0:
        for n in range(rank):
            out[n] = tanh(out[n])
    elif which == 3:
        for n in range(rank):
            out[n] = sigmoid(out[n])


@compiled
def _head(line, sizes, layer, head, vectors, rkv, hidden, v_first, old, new, out):
    """Low-rank sums, recurrence and read-out of one head → its part of `out` [C]."""
    N = sizes[at.HEAD_SIZE]
    start = head * N
    for which in range(4):
        first, count = _low_rank_rows(sizes, which)
        vectors[which, :] = _F0
        place = (head * len(hidden) + first) * N * line[at.LOW_BYTES]
        call(line[at.LOW_ADD], line[at.LOW_OUT] + place, _address(hidden) + 4 * first, count,
             _address(vectors[which]), 0, 0, 0, 0)  # fmt: skip
    r, k, v = rkv[0, start : start + N], rkv[1, start : start + N], rkv[2, start : start + N]
    its, own_first = vectors[at.V], v_first[start : start + N]
    if layer == 0:
        own_first[:] = v
        its[:] = v
    else:
        for n in range(N):
            its[n] = v[n] + (own_first[n] - v[n]) * sigmoid(vectors[at.V_LOGIT, n])
    k_k, k_a = floats(line[at.K_K] + 4 * start, N), floats(line[at.K_A] + 4 * start, N)
    a, b, decay, key = vectors[at.A], vectors[at.B], vectors[at.DECAY], vectors[at.K]
    prepare_head(k, vectors[at.ICLR_LOGIT], vectors[at.DECAY_LOGIT], k_k, k_a, a, b, decay, key)
    recur(old, new, decay, a, b, key, its, r, vectors[at.Y])
    r_k = floats(line[at.R_K] + 4 * start, N)
    weight, bias = floats(line[at.LN_X_WEIGHT] + 4 * start, N), floats(line[at.LN_X_BIAS] + 4 * start, N)
    read_out(vectors[at.Y], r, key, its, r_k, weight, bias, vectors[at.GATE], out[start : start + N])


@compiled
def _add_product(line, x, digits, out, to, shared, phase):
    """to [C] += the output matrix times x, piece by piece; `out` [C] is memory for it."""
    while True:
        piece = _next(shared, phase)
        low = piece * PIECE
        if low >= len(to):
            return
        _rows(line, at.OUTPUT, x, digits, out, piece)
        for n in range(low, min(low + PIECE, len(to))):
            to[n] += out[n]


@compiled
def _square(line, x, digits, ffn, shared, phase):
    """relu(product)² → ffn [F]."""
    while True:
        piece = _next(shared, phase)
        low = piece * PIECE
        if low >= len(ffn):
            return
        _rows(line, at.FFN_KEY, x, digits, ffn, piece)
        for f in range(low, min(low + PIECE, len(ffn))):
            positive = _F0 if ffn[f] < _F0 else ffn[f]  # NaN stays
            ffn[f] = positive * positive


@compiled
def _active_units(line, ffn, active, shares, C):
    """How many hidden units are not zero; their numbers → `active`, their rows' shares → `shares`."""
    count = 0
    for f in range(len(ffn)):
        active[count], shares[count] = f, ffn[f]
        count += 1 if ffn[f] != _F0 else 0
    if line[at.FFN_VALUE_WEIGH]:
        its = _address(active), count, C, _address(shares)
        call(line[at.FFN_VALUE_WEIGH], line[at.FFN_VALUE], its[0], its[1], its[2], its[3], 0, 0, 0)
    return count


@compiled
def _add_units(line, active, count, shares, x, shared, phase):
    """x [C] += the rows of the hidden units that are not zero."""
    C = len(x)
    while True:
        low = _next(shared, phase) * COLUMNS
        if low >= C:
            return
        width = min(COLUMNS, C - low)
        call(line[at.FFN_VALUE_ADD], line[at.FFN_VALUE], _address(active), count, C, low, width,
             _address(shares), _address(x) + 4 * low)  # fmt: skip


# ----------------------------------------------------------------------------------------------- layers


@compiled
def _time_mix(line, sizes, layer, x, own, vectors, rkv, hidden, v_first, o, last, shift, old, new,
              digits, shared, thread, threads):  # fmt: skip
    C = sizes[at.WIDTH]
    phase = layer * at.PHASES
    normed = own[at.NORMED]
    normalise(x, floats(line[at.LN1_WEIGHT], C), floats(line[at.LN1_BIAS], C), normed)
    if thread == 0:
        shift[:] = normed
    for m in range(6):
        mix(normed, last, floats(line[at.MIX] + 4 * m * C, C), own[at.MIXED_R + m])
    _prepare(line, at.RECEPTANCE, own[at.MIXED_R], digits[0])
    _prepare(line, at.KEY, own[at.MIXED_K], digits[1])
    _prepare(line, at.VALUE, own[at.MIXED_V], digits[2])
    _inputs(line, sizes, own, rkv, hidden, digits, shared, phase)
    _wait(shared, phase, threads)
    while True:
        head = _next(shared, phase + 1)
        if head >= sizes[at.HEADS]:
            break
        _head(line, sizes, layer, head, vectors, rkv, hidden, v_first, old[head], new[head], o)
    _wait(shared, phase + 1, threads)
    _prepare(line, at.OUTPUT, o, digits[0])
    _add_product(line, o, digits[0], own[at.PRODUCT], x, shared, phase + 2)
    _wait(shared, phase + 2, threads)


@compiled
def _channel_mix(
    line, sizes, layer, x, own, ffn, active, shares, last, shift, digits, shared, thread, threads
):
    C = sizes[at.WIDTH]
    phase = layer * at.PHASES + 3
    normed, mixed = own[at.NORMED], own[at.MIXED_K]
    normalise(x, floats(line[at.LN2_WEIGHT], C), floats(line[at.LN2_BIAS], C), normed)
    if thread == 0:
        shift[:] = normed
    mix(normed, last, floats(line[at.X_K], C), mixed)
    _prepare(line, at.FFN_KEY, mixed, digits[0])
    _square(line, mixed, digits[0], ffn, shared, phase)
    _wait(shared, phase, threads)
    count = _active_units(line, ffn, active, shares, C)
    _add_units(line, active, count, shares, x, shared, phase + 1)
    _wait(shared, phase + 1, threads)


@kept
def token(table, sizes, x, rkv, hidden, v_first, o, ffn, logits, last, shift, ffn_last, ffn_shift,
          old, new, own, vectors, active, shares, digits, shared, thread, threads):  # fmt: skip
    """Feeds one token, as thread number `thread` of a team of `threads`.

    Args:
        table, sizes: see `tables`.
        x [C]: its embedding, written over.  logits [O]: written.
        last, ffn_last: the token before [L,C];  shift, ffn_shift [L,C]: written.
        old, new: states [L,H,V,K], of which `new` is written.
        rkv [3,C], v_first, o [C], ffn [F]: memory that all share; hidden [ΣR + 3], ones where constants are.
        own [8,C], vectors [10,N], active, shares [F + 1], digits [3,…] (`digits.py`): this thread's own.
        shared: int64, zeros before the first thread begins.
    """
    L, C = sizes[at.LAYERS], sizes[at.WIDTH]
    for layer in range(L):
        _time_mix(table[layer], sizes, layer, x, own, vectors, rkv, hidden, v_first, o, last[layer],
                  shift[layer], old[layer], new[layer], digits, shared, thread, threads)  # fmt: skip
        _channel_mix(table[layer], sizes, layer, x, own, ffn, active, shares, ffn_last[layer],
                     ffn_shift[layer], digits, shared, thread, threads)  # fmt: skip
    line, normed = table[L], own[at.NORMED]
    normalise(x, floats(line[at.LN_OUT_WEIGHT], C), floats(line[at.LN_OUT_BIAS], C), normed)
    _prepare(line, at.HEAD, normed, digits[0])
    while True:
        piece = _next(shared, at.PHASES * L)
        if piece * PIECE >= len(logits):
            break
        _rows(line, at.HEAD, normed, digits[0], logits, piece)
    _leave(shared, thread, threads)
