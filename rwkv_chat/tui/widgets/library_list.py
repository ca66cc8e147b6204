"""Conversations, or messages that were found, as rows of which several may be marked. Knows words only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import clean, title
from rwkv_chat.tui.cells import cell, short_title
from rwkv_chat.tui.widgets.keyed_list import KeyedList

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKED, PINNED, PLAIN = "✓ ", "▲ ", "  "
DATE = 16  # cells
LONGEST = 300


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """A line, and a second one where it has a `snippet`: pieces, each with whether it was searched for.

    Attributes:
        key: what the screen knows it by.
    """

    key: str
    title: str
    date: str = ""
    tags: tuple[str, ...] = ()
    pinned: bool = False
    who: str = ""
    snippet: tuple[tuple[str, bool], ...] = ()


class LibraryList(KeyedList):
    """The marked rows stay marked when others are shown. `Looked` tells that others are marked, too."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._rows: tuple[LibraryRow, ...] = ()
        self.marked: set[str] = set()

    def blur(self) -> Self:
        """Hidden while it was empty, and shown again before it was told of that, it keeps the keys:
        they would else be typed into what stands before it.
        """
        return self if self.display else super().blur()

    def show(self, rows: Sequence[LibraryRow], select: str | None = None) -> None:
        """Other rows; the highlighted one stays highlighted if it is among them."""
        wanted = select or self.current
        self._rows = tuple(rows)
        self.marked &= {each.key for each in rows}
        self._draw(wanted)

    def toggle(self) -> None:
        """Mark the highlighted row, or not any more, and go on to the next."""
        if (key := self.current) is None:
            return
        self.marked ^= {key}
        self._draw(key)
        self.action_cursor_down()
        self.post_message(self.Looked())

    def mark_all(self) -> None:
        """Mark every row; where all are marked, none."""
        keys = {each.key for each in self._rows}
        self.marked = set() if self.marked == keys else keys
        self._draw(self.current)
        self.post_message(self.Looked())

    def on_resize(self) -> None:
        self._draw(self.current)

    def _draw(self, wanted: str | None) -> None:
        width = self.scrollable_content_region.width or self.size.width
        scrolled = self.scroll_offset.y
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(
                [Option(_prompt(each, width, each.key in self.marked), id=each.key) for each in self._rows]
            )
            keys = [each.key for each in self._rows]
            self.highlighted = keys.index(wanted) if wanted in keys else (0 if keys else None)
        self.scroll_to(y=scrolled, animate=False)


def _prompt(row: LibraryRow, width: int, marked: bool) -> Content:
    mark = MARKED if marked else PINNED if row.pinned else PLAIN
    date = DATE if width >= 56 else 0
    tags = " ".join(f"#{title(tag)}" for tag in row.tags)
    room = max(8, width - len(mark) - (date + 2 if date else 0))
    shown = min(cell_len(tags), room // 3)
    line = Content.styled(mark, "bold $accent" if marked else "$muted")
    room -= shown + 1 if shown else 0
    line += Content.styled(cell(_named(row, room), room), "$foreground")
    if shown:
        line += Content.styled(" " + cell(tags, shown, right=True), "$accent")
    if date:
        line += Content.styled("  " + cell(row.date, date, right=True), "$muted")
    return line + _snippet(row) if row.snippet else line


def _named(row: LibraryRow, room: int) -> str:
    """The title gives way to what stands behind it."""
    who = f"  ({row.who})" if row.who else ""
    name = short_title(title(row.title, LONGEST), max(8, room - cell_len(who)))
    return short_title(name + who, room) if who else name


def _snippet(row: LibraryRow) -> Content:
    styles = {True: "bold $warning", False: "$muted"}
    pieces = [Content.styled(" ".join(clean(text).split("\n")), styles[match]) for text, match in row.snippet]
    return Content("\n      ") + Content("").join(pieces)
