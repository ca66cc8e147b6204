"""Tables in cells: natural widths where they fit, otherwise the widest columns give way and wrap."""

from __future__ import annotations

from rich.cells import cell_len

from rwkv_chat.tui.prose.line import Line, Run
from rwkv_chat.tui.prose.wrap import wrap

Cell = list[Run]
SEPARATOR: Run = (" │ ", ("rule",))
MIN_COLUMN = 4


def table_lines(rows: list[list[Cell]], width: int) -> list[Line]:
    """The rows (the first is the head) as lines of about `width` cells."""
    columns = max(map(len, rows))
    rows = [row + [[] for _ in range(columns - len(row))] for row in rows]
    widths = _fit([max(_cells(row[at]) for row in rows) for at in range(columns)], width - 3 * (columns - 1))
    lines = _row([[(text, (*marks, "strong")) for text, marks in cell] for cell in rows[0]], widths)
    lines.append(Line(((("─┼─".join("─" * each for each in widths)), ("rule",)),)))
    for row in rows[1:]:
        lines += _row(row, widths)
    return lines


def _cells(cell: Cell) -> int:
    return max(1, cell_len("".join(text for text, _ in cell)))


def _fit(widths: list[int], room: int) -> list[int]:
    widths = list(widths)
    while sum(widths) > room and max(widths) > MIN_COLUMN:
        widest = widths.index(max(widths))
        widths[widest] -= min(widths[widest] - MIN_COLUMN, max(1, (sum(widths) - room) // 2))
    return widths


def _row(cells: list[Cell], widths: list[int]) -> list[Line]:
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    return [_line(wrapped, widths, at) for at in range(height)]


def _line(wrapped: list[list[Line]], widths: list[int], at: int) -> Line:
    runs: list[Run] = []
    for column, (lines, width) in enumerate(zip(wrapped, widths, strict=True)):
        if column:
            runs.append(SEPARATOR)
        line = lines[at] if at < len(lines) else Line()
        pad = width - cell_len(line.text)
        runs += [*line.runs, (" " * pad, ())] if pad > 0 else line.runs
    return Line(tuple(runs))
