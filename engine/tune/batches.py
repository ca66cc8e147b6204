"""Which rows a step learns from, and how they are fed: rows of like length together, long ones in pieces.

Every row begins with a state of its own, so packing several in one line would save the padding alone, a few
hundredths of what is fed (README). How much that is, `Feed.tokens` tells, which leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import torch

from engine.types import Row

if TYPE_CHECKING:
    from torch import Tensor

    from engine.tune.rows import Rows

# a function that starts the stream of rows at any row, so that a resumed run goes on with the right one
RowSource = Callable[[int], Iterator[Row]]
# the rows of a step (from 0)
Batches = Callable[[int], list[Row]]

WINDOW = 16  # batches whose rows are sorted by length together


@dataclass(frozen=True, slots=True)
class Pair:
    """A row ready to be fed: inputs [T], targets [T] int64, weights [T] fp32 of the targets."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor


def pair(row: Row) -> Pair:
    """Of n tokens T = n − 1; a row of one token is fed as one without a target that counts."""
    ids = torch.as_tensor(row[0], dtype=torch.int64)
    weights = torch.as_tensor(row[1], dtype=torch.float32)
    if len(ids) == 1:
        return Pair(ids, ids, torch.zeros(1))
    return Pair(ids[:-1], ids[1:], weights[1:])


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of some rows: inputs, targets, weights [B,T]; `rows` [B] says which of the feed's rows."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    rows: list[int]


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows that are fed together, longest first; in pieces of `context` tokens."""

    pairs: list[Pair]
    context: int

    @property
    def tokens(self) -> int:
        """Without padding."""
        return sum(len(each.inputs) for each in self.pairs)

    @property
    def weight(self) -> float:
        return sum(float(each.weights.sum()) for each in self.pairs)

    def pieces(self) -> Iterator[Piece]:
        """One after the other; rows that have ended are left out. Padding on the right counts nothing."""
        longest = len(self.pairs[0].inputs)
        for start in range(0, longest, self.context):
            rows = [i for i, each in enumerate(self.pairs) if len(each.inputs) > start]
            cut = [_cut(self.pairs[i], start, start + self.context) for i in rows]
            yield Piece(
                _stacked([each.inputs for each in cut]),
                _stacked([each.targets for each in cut]),
                _stacked([each.weights for each in cut]),
                rows,
            )


def _cut(whole: Pair, start: int, end: int) -> Pair:
    return Pair(whole.inputs[start:end], whole.targets[start:end], whole.weights[start:end])


def _stacked(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def feeds(rows: Sequence[Row], context: int, at_once: int = 0, most: int = 0) -> list[Feed]:
    """The rows of a step in groups that are fed together, the longest first.

    Args:
        at_once: rows of a group; 0: as many as `context` tokens hold, padding counted, one at least.
        most: a bound on either, 0 for none.
    """
    pairs = sorted((pair(row) for row in rows), key=lambda each: -len(each.inputs))
    found, at = [], 0
    while at < len(pairs):
        count = at_once or max(1, context // min(context, len(pairs[at].inputs)))
        count = min(count, most) if most else count
        found.append(Feed(pairs[at : at + count], context))
        at += count
    return found


def from_rows(rows: Rows, batch_size: int, seed: int) -> Batches:
    """Batches from rows in a file, without end: all of them once, in an order drawn anew for every time.

    Which rows a step gets follows from the seed and its number alone. Rows without anything to learn are left
    out; in windows of the order those of like length stand together, in batches that come shuffled.
    """
    order = _Order(rows, batch_size, seed)

    def batch(step: int) -> list[Row]:
        return [rows.row(i) for i in order.places(step * batch_size, batch_size)]

    return batch


class _Order:
    """The endless sequence of row numbers; that of one time through is kept."""

    def __init__(self, rows: Rows, batch_size: int, seed: int) -> None:
        self._useful = useful(rows)
        self._lengths, self._batch_size, self._seed = rows.lengths, batch_size, seed
        self._kept: tuple[int, list[int]] = (-1, [])

    def places(self, start: int, count: int) -> list[int]:
        n = len(self._useful)
        return [self._epoch(at // n)[at % n] for at in range(start, start + count)]

    def _epoch(self, number: int) -> list[int]:
        if self._kept[0] != number:
            self._kept = number, self._drawn(number)
        return self._kept[1]

    def _drawn(self, number: int) -> list[int]:
        rng = Random(f"{self._seed}/{number}")  # noqa: S311  not for secrets
        order, size = self._useful.copy(), self._batch_size
        rng.shuffle(order)
        drawn: list[int] = []
        for at in range(0, len(order), size * WINDOW):
            window = sorted(order[at : at + size * WINDOW], key=lambda i: self._lengths[i])
            groups = [window[i : i + size] for i in range(0, len(window), size)]
            rng.shuffle(groups)
            drawn += [i for group in groups for i in group]
        return drawn


def useful(rows: Rows) -> list[int]:
    """The rows that have something to learn."""
    return [i for i in range(len(rows)) if rows.trained(i) > 0]


def from_source(source: RowSource, batch_size: int) -> Batches:
    """Batches from a stream of rows that can be started anywhere; [] where it has ended."""
    at, stream = 0, source(0)

    def batch(step: int) -> list[Row]:
        nonlocal at, stream
        if step * batch_size != at:
            at, stream = step * batch_size, source(step * batch_size)
        rows = list(islice(stream, batch_size))
        at += len(rows)
        return rows

    return batch
