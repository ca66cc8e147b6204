"""Losses as a picture of braille dots: the line of what is learnt from, marks for what is held out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BLANK = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # rows of a cell, left and right
MARK = "●"
LABEL = 6  # cells before the picture

Point = tuple[int, float]  # step, loss


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines of one width.

    Attributes:
        labels: before each line: the highest loss, the lowest one.
        marks: places (line, cell) where a mark stands.
    """

    lines: tuple[str, ...]
    labels: tuple[str, ...]
    marks: frozenset[tuple[int, int]]


def plot(train: Sequence[Point], held: Sequence[Point], steps: int, width: int, height: int) -> Plot:
    """A picture of `width` × `height` cells; the right edge is the last of all `steps`."""
    columns = _columns(train, steps, 2 * width)
    marks = [(step, loss) for step, loss in held if isfinite(loss)]
    values = [*columns.values(), *(loss for _, loss in marks)]
    if not values or width < 1 or height < 1:
        return Plot((" " * width,) * height, (" " * LABEL,) * height, frozenset())
    low, high = min(values), max(values)
    high = high if high > low else low + 1e-3
    cells = [[BLANK] * width for _ in range(height)]
    before = None
    for x, loss in _joined(sorted(columns.items())):
        y = _row(loss, low, high, 4 * height)
        for at in _between(before, y):
            cells[at // 4][x // 2] |= DOTS[at % 4][x % 2]
        before = y
    places = {
        (_row(loss, low, high, height), min(_column(step, steps, width), width - 1)) for step, loss in marks
    }
    lines = [
        "".join(MARK if (y, x) in places else chr(cell) for x, cell in enumerate(row))
        for y, row in enumerate(cells)
    ]
    return Plot(tuple(lines), _labels(low, high, height), frozenset(places))


def _columns(train: Iterable[Point], steps: int, width: int) -> dict[int, float]:
    """The mean loss of the steps in each column of dots."""
    found: dict[int, list[float]] = {}
    for step, loss in train:
        if isfinite(loss):
            found.setdefault(_column(step, steps, width), []).append(loss)
    return {x: sum(some) / len(some) for x, some in found.items()}


def _joined(points: list[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Where a step is wider than a column of dots, the columns between lie on a straight line."""
    yield from points[:1]
    for (x, loss), (next_x, next_loss) in pairwise(points):
        for at in range(x + 1, next_x + 1):
            yield at, loss + (next_loss - loss) * (at - x) / (next_x - x)


def _column(step: int, steps: int, width: int) -> int:
    return min(width - 1, max(0, int((step - 1) / max(1, steps) * width)))


def _row(loss: float, low: float, high: float, height: int) -> int:
    """The highest loss stands in row 0."""
    return min(height - 1, max(0, round((high - loss) / (high - low) * (height - 1))))


def _between(before: int | None, now: int) -> range:
    """Rows from the last column's to this one's: a line without holes."""
    if before is None or before == now:
        return range(now, now + 1)
    return range(now, before) if now < before else range(before + 1, now + 1)


def _labels(low: float, high: float, height: int) -> tuple[str, ...]:
    blank = " " * LABEL
    first, last = (f"{each:>{LABEL - 1}.2f} "[:LABEL] for each in (high, low))
    return (first, *[blank] * (height - 2), last) if height > 1 else (first,)
