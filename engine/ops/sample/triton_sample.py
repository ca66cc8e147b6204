"""Drawing in Triton: three launches, no sort, and the same outcome from run to run.

`survey_kernel` counts the token drawn last, adds biases and penalties, and finds each tile's largest logit
and sum of exponentials. `collect_kernel` makes probabilities of them and lists those of at least `HEAD` of
the largest, by id. `pick_kernel`, one program for each row, cuts off and draws: from the list where nothing
outside it can be kept, else from the whole row.

What decides is summed in whole numbers (a probability times 2⁶⁰), so the order of summation has no say. A
cutoff is searched among the bit patterns of probabilities, which are ordered as the numbers are.
"""
# pyright: reportGeneralTypeIssues=false
# A call of one kernel's function by another is no call to a type checker.

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import launch
from engine.ops.sample.naive import HEAD
from engine.ops.sample.rows import AHEAD, FIELDS

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.sample.rows import Rows

TILE = 2048  # ids for each program of the first two kernels
ROOM = 128  # of them in the list; where a tile has more, the whole row is looked at
BLOCK = 4096  # probabilities that the last one looks at in one go
WARPS = 8
_TEMPERATURE, _TOP_P, _TOP_K, _MIN_P, _PRESENCE, _FREQUENCY, _DECAY = map(tl.constexpr, range(len(FIELDS)))
_FIELDS, _HEAD, _AHEAD = tl.constexpr(len(FIELDS)), tl.constexpr(HEAD), tl.constexpr(AHEAD)
_OF_P, _OF_POWER = tl.constexpr(2.0**60), tl.constexpr(2.0**46)  # a row's sums stay below 2⁶³
_INF = tl.constexpr(float("inf"))


@triton.jit
def survey_kernel(
    logits,
    added,
    counts,
    exempt,
    last,
    settings,
    adjusted,
    tops,
    lowest,
    sums,
    vocab,
    TILE: tl.constexpr,
):
    """Each tile's adjusted logits; their largest, its lowest id, and Σ exp(x − largest). NaN counts as +∞."""
    row, tile = tl.program_id(0), tl.program_id(1)
    settings += row * _FIELDS
    at = tile * TILE + tl.arange(0, TILE)
    inside = at < vocab
    x = tl.load(logits + row * vocab + at, inside, other=-_INF) + tl.load(
        added + row * vocab + at, inside, other=0.0
    )
    count = tl.load(counts + row * vocab + at, inside, other=-1.0)
    drawn = tl.load(last + row)
    if drawn >= 0:
        more = 1.0 - tl.load(exempt + at, inside, other=0).to(tl.float64)
        count = tl.where(count >= 0, count * tl.load(settings + _DECAY), count)
        count = tl.where(at == drawn, tl.maximum(count, 0.0) + more, count)
        tl.store(counts + row * vocab + at, count, inside)
    presence, frequency = tl.load(settings + _PRESENCE), tl.load(settings + _FREQUENCY)
    penalty = presence.to(tl.float32) + count.to(tl.float32) * frequency.to(tl.float32)
    x = tl.where(count >= 0, x - penalty, x)
    x = tl.where(x == x, x, _INF)
    tl.store(adjusted + row * vocab + at, x, inside)
    top = tl.max(x, 0)
    total = tl.sum(tl.exp(x - tl.where(top == -_INF, 0.0, top)), 0)
    part = row * tl.num_programs(1) + tile
    tl.store(tops + part, top)
    tl.store(lowest + part, tl.min(tl.where(x == top, at, vocab), 0))
    tl.store(sums + part, total)


@triton.jit
def _largest(tops, sums, row, tiles, TILES: tl.constexpr):
    """A row's largest logit and Σ exp(x − largest)."""
    at = tl.arange(0, TILES)
    top = tl.load(tops + row * tiles + at, at < tiles, other=-_INF)
    largest = tl.max(top, 0)
    total = tl.load(sums + row * tiles + at, at < tiles, other=0.0)
    return largest, tl.sum(total * tl.exp(tl.where(top == -_INF, -_INF, top - largest)), 0)


@triton.jit
def collect_kernel(
    adjusted,
    tops,
    sums,
    probs,
    found,
    masses,
    list_x,
    list_p,
    list_id,
    vocab,
    TILE: tl.constexpr,
    TILES: tl.constexpr,
    ROOM: tl.constexpr,
):
    """Probabilities; and of each tile the first ROOM that are at least HEAD times the row's largest."""
    row, tile = tl.program_id(0), tl.program_id(1)
    tiles = tl.num_programs(1)
    largest, total = _largest(tops, sums, row, tiles, TILES)
    at = tile * TILE + tl.arange(0, TILE)
    x = tl.load(adjusted + row * vocab + at, at < vocab, other=-_INF)
    p = tl.div_rn(tl.exp(x - largest), total)
    tl.store(probs + row * vocab + at, p, at < vocab)
    likely = (p >= tl.div_rn(1.0, total) * _HEAD) & (at < vocab)
    many = tl.sum(likely.to(tl.int32), 0)
    # The likely ones come first, in order; others, as p = 0, fill what is left of the list.
    ahead = tl.cumsum(likely.to(tl.int32), 0)
    place = tl.where(likely, ahead - 1, many + tl.arange(0, TILE) - ahead)
    part = row * tiles + tile
    tl.store(found + part, many)
    tl.store(masses + part, tl.sum(tl.where(likely, (p * _OF_P).to(tl.int64), 0), 0))
    tl.store(list_x + part * ROOM + place, x, place < ROOM)
    tl.store(list_p + part * ROOM + place, tl.where(likely, p, 0.0), place < ROOM)
    tl.store(list_id + part * ROOM + place, at, place < ROOM)


@triton.jit
def _cut(ps, many, most, wanted, BLOCK: tl.constexpr):
    """The bits of the largest cutoff that leaves a mass of at least `wanted`; 0 if none does."""
    low, high = tl.full((), 0, tl.int64), most
    while low < high:
        middle = low + (high - low + 1) // 2
        parts = tl.full((BLOCK,), 0, tl.int64)
        for start in range(0, many, BLOCK):
            at = start + tl.arange(0, BLOCK)
            p = tl.load(ps + at, at < many, other=0.0)
            parts += tl.where(
                p.to(tl.int32, bitcast=True) >= middle.to(tl.int32), (p * _OF_P).to(tl.int64), 0
            )
        reached = tl.sum(parts, 0) >= wanted
        low, high = tl.where(reached, middle, low), tl.where(reached, high, middle - 1)
    return low


@triton.jit
def _kth(ps, many, most, k, BLOCK: tl.constexpr):
    """The bits of the k-th largest, 0 if there are not so many; and how many such are among the k."""
    low, high = tl.full((), 0, tl.int64), most
    above = tl.full((), 0, tl.int64)  # how many there are above `high`
    while low < high:
        middle = low + (high - low + 1) // 2
        parts = tl.full((BLOCK,), 0, tl.int64)
        for start in range(0, many, BLOCK):
            at = start + tl.arange(0, BLOCK)
            bits = tl.load(ps + at, at < many, other=0.0).to(tl.int32, bitcast=True)
            parts += (bits >= middle.to(tl.int32)).to(tl.int64)
        number = tl.sum(parts, 0)
        low, high = tl.where(number >= k, middle, low), tl.where(number >= k, high, middle - 1)
        above = tl.where(number >= k, above, number)
    return low, k - above


@triton.jit
def _weights(ps, xs, at, many, floor, least, room, seen, largest, temperature):
    """p^(1/temperature) of those kept, as whole numbers; and how many up to here have the bits `least`.

    Kept are p ≥ floor with bits above `least`, and the first `room` that have just those.
    """
    p = tl.load(ps + at, at < many, other=0.0)
    bits = p.to(tl.int32, bitcast=True)
    equal = (bits == least.to(tl.int32)) & (p > 0)
    rank = seen + tl.cumsum(equal.to(tl.int64), 0)
    kept = (p > 0) & (p >= floor) & ((bits > least.to(tl.int32)) | (equal & (rank <= room)))
    if temperature == 1.0:
        weight = (p * _OF_P).to(tl.int64)
    else:
        x = tl.load(xs + at, at < many, other=-_INF)
        weight = (tl.exp((x - largest) / temperature) * _OF_POWER).to(tl.int64)
    return tl.where(kept, weight, 0), seen + tl.sum(equal.to(tl.int64), 0)


@triton.jit
def _draw(ps, xs, many, floor, least, room, largest, temperature, chance, BLOCK: tl.constexpr):
    """The place at which the sum of weights passes `chance` of the whole."""
    total, seen = tl.full((), 0, tl.int64), tl.full((), 0, tl.int64)
    for start in range(0, many, BLOCK):
        at = start + tl.arange(0, BLOCK)
        weight, seen = _weights(ps, xs, at, many, floor, least, room, seen, largest, temperature)
        total += tl.sum(weight, 0)
    passing = (total.to(tl.float64) * chance).to(tl.int64)
    passed, seen = tl.full((), 0, tl.int64), tl.full((), 0, tl.int64)
    found, last = tl.full((), 0, tl.int64) + many, tl.full((), 0, tl.int64)
    for start in range(0, many, BLOCK):
        at = start + tl.arange(0, BLOCK)
        weight, seen = _weights(ps, xs, at, many, floor, least, room, seen, largest, temperature)
        sums = passed + tl.cumsum(weight, 0)
        found = tl.minimum(found, tl.min(tl.where((weight > 0) & (sums > passing), at, many), 0))
        last = tl.maximum(last, tl.max(tl.where(weight > 0, at, 0), 0))
        passed += tl.sum(weight, 0)
    return tl.where(found < many, found, last)


@triton.jit
def _chosen(ps, xs, many, top_p, top_k, min_p, largest, total, temperature, chance, BLOCK: tl.constexpr):
    """Where in a list of probabilities the draw falls."""
    many = tl.full((), 0, tl.int64) + many
    most = tl.div_rn(1.0, total)
    bits = most.to(tl.int32, bitcast=True).to(tl.int64)
    cut, least, room = tl.full((), 0, tl.int64), tl.full((), 0, tl.int64), tl.full((), 0, tl.int64)
    if top_p < 1.0:
        cut = _cut(ps, many, bits, (top_p * _OF_P).to(tl.int64), BLOCK)
    if top_k > 0:
        least, room = _kth(ps, many, bits, top_k, BLOCK)
    floor = tl.maximum(cut.to(tl.int32).to(tl.float32, bitcast=True), (min_p * most).to(tl.float32))
    return _draw(ps, xs, many, floor, least, room, largest, temperature, chance, BLOCK)


@triton.jit
def pick_kernel(
    probs,
    adjusted,
    tops,
    lowest,
    sums,
    found,
    masses,
    list_x,
    list_p,
    list_id,
    settings,
    chances,
    steps,
    last,
    drawn,
    vocab,
    tiles,
    TILES: tl.constexpr,
    ROOM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row's token, from the list if nothing else can be kept; −1 if the logits are not finite."""
    row = tl.program_id(0)
    settings += row * _FIELDS
    temperature, top_p = tl.load(settings + _TEMPERATURE).to(tl.float32), tl.load(settings + _TOP_P)
    top_k, min_p = tl.load(settings + _TOP_K).to(tl.int32), tl.load(settings + _MIN_P)
    top_k = tl.where(top_k < vocab, top_k, 0)
    largest, total = _largest(tops, sums, row, tiles, TILES)
    at = tl.arange(0, TILES)
    step = tl.load(steps + row)
    if (largest == _INF) | (largest == -_INF):
        token = tl.full((), -1, tl.int64)
    elif temperature == 0.0:
        top = tl.load(tops + row * tiles + at, at < tiles, other=-_INF)
        ids = tl.load(lowest + row * tiles + at, at < tiles, other=0)
        token = tl.min(tl.where((top == largest) & (at < tiles), ids, vocab), 0).to(tl.int64)
    else:
        chance = tl.load(chances + row * _AHEAD + step % _AHEAD)
        listed = tl.load(found + row * tiles + at, at < tiles, other=0)
        short = row * tiles * ROOM
        enough = (min_p >= _HEAD) | ((top_k > 0) & (top_k <= tl.sum(listed, 0)))
        mass = tl.sum(tl.load(masses + row * tiles + at, at < tiles, other=0), 0)
        enough = enough | ((top_p < 1.0) & (mass >= (top_p * _OF_P).to(tl.int64)))
        if enough & (tl.max(listed, 0) <= ROOM):
            ps, xs, many = list_p + short, list_x + short, tiles * ROOM
            place = _chosen(ps, xs, many, top_p, top_k, min_p, largest, total, temperature, chance, BLOCK)
            token = tl.load(list_id + short + place).to(tl.int64)
        else:
            ps, xs = probs + row * vocab, adjusted + row * vocab
            token = _chosen(ps, xs, vocab, top_p, top_k, min_p, largest, total, temperature, chance, BLOCK)
    tl.store(drawn + row, token)
    tl.store(last + row, token)
    tl.store(steps + row, step + 1)


def sample_rows_triton(logits: Tensor, rows: Rows, drawn: Tensor) -> None:
    """`engine.ops.sample.sample_rows` on a card; allocates what the kernels hand to one another."""
    B, vocab = logits.shape
    tiles = -(-vocab // TILE)
    TILES, listed = triton.next_power_of_2(tiles), tiles * ROOM
    adjusted, probs = logits.new_empty(2, B, vocab)
    list_x, list_p = logits.new_empty(2, B, listed)
    list_id = logits.new_empty(B, listed, dtype=torch.int32)
    tops, sums = logits.new_empty(2, B, tiles)
    lowest, found = logits.new_empty(2, B, tiles, dtype=torch.int32)
    masses = logits.new_empty(B, tiles, dtype=torch.int64)
    options = {"num_warps": WARPS, "enable_fp_fusion": False}  # a penalty is rounded twice, as on the CPU
    given = (logits, rows.added, rows.counts, rows.exempt, rows.last, rows.settings)
    launch(survey_kernel, (B, tiles), *given, adjusted, tops, lowest, sums, vocab, TILE, **options)
    lists = (found, masses, list_x, list_p, list_id)
    sizes = (TILE, TILES, ROOM)
    launch(collect_kernel, (B, tiles), adjusted, tops, sums, probs, *lists, vocab, *sizes, **options)
    made = (probs, adjusted, tops, lowest, sums, *lists)
    state = (rows.settings, rows.chances, rows.steps, rows.last, drawn)
    block = triton.next_power_of_2(min(vocab, BLOCK))
    launch(pick_kernel, (B,), *made, *state, vocab, tiles, TILES, ROOM, block, **options)
