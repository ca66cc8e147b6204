"""Where lines are laid down: a width, a stack of prefixes (list markers, quote bars), blank lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len

from rwkv_chat.tui.prose.code import code_rows
from rwkv_chat.tui.prose.line import Line, Run
from rwkv_chat.tui.prose.wrap import fold, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_WIDTH = 8
FENCE_PAD = 1
START = "fence-start"  # the mark of a code block's first row


@dataclass(slots=True)
class Prefix:
    """What stands before the first row of a block, and before all others."""

    first: Run
    rest: Run
    used: bool = False

    def take(self) -> Run:
        run = self.rest if self.used else self.first
        self.used = True
        return run


class Flow:
    """Lines of at most `width` cells, prefixes included."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[Line] = []
        self.prefixes: list[Prefix] = []

    @property
    def room(self) -> int:
        """Cells left beside the prefixes."""
        return max(MIN_WIDTH, self.width - sum(cell_len(each.rest[0]) for each in self.prefixes))

    def push(self, first: Run, rest: Run | None = None) -> None:
        self.prefixes.append(Prefix(first, rest or (" " * cell_len(first[0]), ())))

    def pop(self) -> None:
        prefix = self.prefixes.pop()
        if not prefix.used and prefix.first[0].strip():  # an empty list item still shows its marker
            self._put(Line((prefix.first,)))

    def gap(self) -> None:
        """One blank line, unless there is one or nothing stands above."""
        if self.lines and self.lines[-1].text.strip(" ▎"):
            self.lines.append(Line(tuple(each.rest for each in self.prefixes if each.rest[0].strip())))

    def text(self, runs: Iterable[Run]) -> None:
        for line in wrap(runs, self.room):
            self._put(line)

    def code(self, code: str, info: str) -> None:
        """A code block on its own background, its info string above it; its first row is marked."""
        first = len(self.lines)
        if info.strip():
            self.label(info.strip())
        language = info.split(maxsplit=1)[0] if info.strip() else ""
        for row in code_rows(code, language):
            self.code_row(row)
        self.mark_start(first)

    def mark_start(self, at: int) -> None:
        """A code block begins with a line: what is drawn there copies it."""
        *before, last = self.lines[at].runs[: self._pad_at(at) + 1]
        rest = self.lines[at].runs[len(before) + 1 :]
        self.lines[at] = replace(self.lines[at], runs=(*before, (last[0], (*last[1], START)), *rest))

    def _pad_at(self, at: int) -> int:
        """Which run of a code row is the first on its background."""
        return next(place for place, (_, marks) in enumerate(self.lines[at].runs) if "fence" in marks)

    def label(self, info: str) -> None:
        for line in fold([(info, ("fence", "fence-label"))], self.room - 2 * FENCE_PAD):
            self._put(self._padded(line))

    def code_row(self, row: list[Run]) -> None:
        for line in fold(row, self.room - 2 * FENCE_PAD):
            self._put(self._padded(line))

    def rule(self) -> None:
        self._put(Line((("─" * self.room, ("rule",)),)))

    def _padded(self, line: Line) -> Line:
        return Line(((" " * FENCE_PAD, ("fence",)), *line.runs), line.joiner, FENCE_PAD, "fence")

    def _put(self, line: Line) -> None:
        fresh = any(not each.used and each.first[0].strip() for each in self.prefixes)
        before = tuple(each.take() for each in self.prefixes)
        indent = 0 if fresh else line.indent + sum(len(text) for text, _ in before)
        self.lines.append(replace(line, runs=(*before, *line.runs), indent=indent))
