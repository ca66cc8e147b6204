"""The losses of a run while it learns. Knows numbers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from rwkv_chat.texts import say
from rwkv_chat.tui.loss_plot import LABEL, MARK, plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.tui.loss_plot import Point

LINE = "⠤⠒"


class LossChart(Widget):
    """A line for what is learnt from, marks for what is held out; the last line tells which is which."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._train: tuple[Point, ...] = ()
        self._held: tuple[Point, ...] = ()
        self._steps = 1

    def show(self, train: Sequence[Point], held: Sequence[Point], steps: int) -> None:
        self._train, self._held, self._steps = tuple(train), tuple(held), max(1, steps)
        self.refresh()

    def render(self) -> Content:
        width, height = self.size.width - LABEL, self.size.height - 1
        if width < 4 or height < 1:
            return Content("")
        found = plot(self._train, self._held, self._steps, width, height)
        lines = [
            Content.styled(label, "$muted") + _line(line, y, found.marks)
            for y, (label, line) in enumerate(zip(found.labels, found.lines, strict=True))
        ]
        return Content("\n").join([*lines, self._legend()])

    def _legend(self) -> Content:
        train = f"{self._train[-1][1]:.3f}" if self._train else "–"
        held = f"{self._held[-1][1]:.3f}" if self._held else "–"
        told = Content(" " * LABEL) + Content.styled(LINE, "$primary") + Content(" ")
        told += Content.styled(say("tune_screen.chart.train", loss=train), "$muted")
        told += Content("   ") + Content.styled(MARK, "bold $accent") + Content(" ")
        return told + Content.styled(say("tune_screen.chart.held", loss=held), "$muted")


def _line(line: str, y: int, marks: frozenset[tuple[int, int]]) -> Content:
    pieces, begun = [], 0
    for x in sorted(x for row, x in marks if row == y):
        pieces += [Content.styled(line[begun:x], "$primary"), Content.styled(line[x], "bold $accent")]
        begun = x + 1
    return Content("").join([*pieces, Content.styled(line[begun:], "$primary")])
