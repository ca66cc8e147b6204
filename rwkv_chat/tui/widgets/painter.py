"""Rows to strips: the accent bar at the left, the marks' colours, the offsets that text selection needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from rwkv_chat.tui.prose.flow import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from rwkv_chat.tui.prose.entry import Row

BAR = "▎"
GUTTER = 3  # a space, the bar, a space
MARGIN = 2


@dataclass(frozen=True, slots=True)
class Span:
    """Selected characters of a row, `end` −1 for all of the rest."""

    start: int
    end: int


class Painter:
    """Paints rows of one width with one theme.

    `style_of(mark)` gives the colours of a mark, e.g. "strong", "bar-user"; only what the mark changes.
    """

    def __init__(
        self, style_of: Callable[[str], Style], base: Style, width: int, text_width: int, copy: str = ""
    ) -> None:
        """`copy`: the word that is drawn where a code block begins."""
        self.style_of = style_of
        self.base = base
        self.width = width
        self.text_width = text_width
        self.left = max(0, (width - text_width - GUTTER - MARGIN) // 2)
        self.copy = f" {copy} "
        self._marks: dict[tuple[str, ...], Style] = {}

    def strip(self, row: Row, selected: Span | None, selection: Style) -> Strip:
        """The whole row, without offsets."""
        base = self.base + self.style_of(row.kind) if row.part != "space" else self.base
        runs = [Segment(text, base + self._marked((*marks, row.kind))) for text, marks in row.line.runs]
        if selected is not None:
            runs = _select(runs, selected, selection)
        cells = sum(cell_len(run.text) for run in runs)
        fill = base + self.style_of(row.line.fill) if row.line.fill else base
        segments = [
            Segment(" " * (self.left + 1), self.base),
            Segment(BAR if row.part != "space" else " ", base + self.style_of(f"bar-{row.kind}")),
            Segment(" ", base),
            *runs,
            *self._rest(row, max(0, self.text_width - cells), fill),
        ]
        used = self.left + GUTTER + max(cells, self.text_width)
        return Strip(segments, used).adjust_cell_length(self.width, self.base)

    def _rest(self, row: Row, cells: int, fill: Style) -> list[Segment]:
        """What is beside the text: its background, and the word that copies a code block."""
        word = cell_len(self.copy)
        if not is_code_start(row) or cells <= word:
            return [Segment(" " * cells, fill)]
        return [Segment(" " * (cells - word), fill), Segment(self.copy, fill + self.style_of(START))]

    def copies(self, row: Row, x: int) -> bool:
        """Whether the word that copies a code block is drawn at a column of a row."""
        end = self.left + GUTTER + self.text_width
        word = cell_len(self.copy)
        room = self.text_width - cell_len(row.line.text)
        return is_code_start(row) and room > word and end - word <= x < end

    def offsets(self, strip: Strip, row: Row, y: int) -> Strip:
        """The strip with the place of each run in the text, for the mouse."""
        segments = list(strip)
        count = len(segments)
        at = 0
        for index in range(3, count - 1):
            text, style, _ = segments[index]
            if at >= len(row.line.text):
                break
            segments[index] = Segment(text, (style or self.base) + Style.from_meta({"offset": (at, y)}))
            at += len(text)
        return Strip(segments, strip.cell_length)

    def _marked(self, marks: tuple[str, ...]) -> Style:
        if marks not in self._marks:
            style = Style.null()
            for mark in reversed(marks):
                style += self.style_of(mark)
            self._marks[marks] = style
        return self._marks[marks]


def is_code_start(row: Row) -> bool:
    return row.line.fill == "fence" and any(START in marks for _, marks in row.line.runs)


def _select(runs: list[Segment], selected: Span, selection: Style) -> list[Segment]:
    """The runs with the selected characters recoloured."""
    end = selected.end if selected.end >= 0 else 1 << 30
    painted: list[Segment] = []
    at = 0
    for text, style, _ in runs:
        low, high = (min(max(edge - at, 0), len(text)) for edge in (selected.start, end))
        parts = (
            (text[:low], style),
            (text[low:high], (style or Style.null()) + selection),
            (text[high:], style),
        )
        painted += [Segment(part, look) for part, look in parts if part]
        at += len(text)
    return painted
