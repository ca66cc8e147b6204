"""Tables in cells: natural widths where they fit, otherwise the widest columns give way and wrap. Columns are
aligned as their heads say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len

from rwkv_chat.tui.prose.line import Line, Run
from rwkv_chat.tui.prose.wrap import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell = list[Run]
Side = Literal["left", "center", "right"]
SEPARATOR: Run = (" │ ", ("rule",))
MIN_COLUMN = 4


def table_lines(rows: list[list[Cell]], width: int, sides: Sequence[Side] = ()) -> list[Line]:
    """The rows (the first is the head) as lines of about `width` cells."""
    columns = max(map(len, rows))
    sides = [sides[at] if at < len(sides) else "left" for at in range(columns)]
    rows = [row + [[] for _ in range(columns - len(row))] for row in rows]
    widths = _fit([max(_cells(row[at]) for row in rows) for at in range(columns)], width - 3 * (columns - 1))
    lines = _row([[(text, (*marks, "strong")) for text, marks in cell] for cell in rows[0]], widths, sides)
    lines.append(Line(((("─┼─".join("─" * each for each in widths)), ("rule",)),)))
    for row in rows[1:]:
        lines += _row(row, widths, sides)
    return lines


def _cells(cell: Cell) -> int:
    return max(1, cell_len("".join(text for text, _ in cell)))


def _fit(widths: list[int], room: int) -> list[int]:
    widths = list(widths)
    while sum(widths) > room and max(widths) > MIN_COLUMN:
        widest = widths.index(max(widths))
        widths[widest] -= min(widths[widest] - MIN_COLUMN, max(1, (sum(widths) - room) // 2))
    return widths


def _row(cells: list[Cell], widths: list[int], sides: Sequence[Side]) -> list[Line]:
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    return [_line(wrapped, widths, sides, at) for at in range(height)]


def _line(wrapped: list[list[Line]], widths: list[int], sides: Sequence[Side], at: int) -> Line:
    runs: list[Run] = []
    for column, (lines, width, side) in enumerate(zip(wrapped, widths, sides, strict=True)):
        if column:
            runs.append(SEPARATOR)
        line = lines[at] if at < len(lines) else Line()
        runs += _padded(line, max(0, width - cell_len(line.text)), side)
    return Line(tuple(runs))


def _padded(line: Line, room: int, side: Side) -> list[Run]:
    before = {"left": 0, "center": room // 2, "right": room}[side]
    pads = (" " * before, ()), (" " * (room - before), ())
    return [run for run in (pads[0], *line.runs, pads[1]) if run[0]]
