"""The rows of a conversation: a window over its entries, and the reply being written. No Textual here.

Only entries in the window are laid out: `WINDOW` of them at first, from the end; `older` and `newer` move it,
and what is far from it is given up again. Every method that changes rows returns the index of the first row
that changed, so that the widget repaints no more than that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.plain_text import clean
from rwkv_chat.tui.prose.entry import (
    Entry,
    Row,
    body_rows,
    entry_rows,
    name_rows,
    space_row,
    thinking_rows,
    thought_rows,
)
from rwkv_chat.tui.prose.line import Line, copy_text
from rwkv_chat.tui.prose.live import LiveText
from rwkv_chat.tui.widgets.painter import is_code_start

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW, STEP, MOST = 20, 10, 40  # entries: at first, per step, at most


class Sheet:
    """Entries laid out for one width.

    Attributes:
        rows: of the entries from `first` up to `last`, and of the reply being written where that is the end.
        reserve: so many rows stay laid out, however few entries they are of.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.rows: list[Row] = []
        self.first = self.last = 0
        self.reserve = 0
        self.width = 80
        self.opened: set[str] = set()
        self._live: Entry | None = None
        self._text, self._thoughts = LiveText(), LiveText()
        self._live_row = 0
        self._stable = 0
        self._above: tuple[object, list[Row]] | None = None

    @property
    def live(self) -> Entry | None:
        """The reply being written, as it was begun."""
        return self._live

    @property
    def at_end(self) -> bool:
        """Whether the window reaches the end of the conversation."""
        return self.last == len(self.entries)

    def reset(self, entries: Sequence[Entry]) -> int:
        self.entries = list(entries)
        self._live = None
        return self.to_end()

    def to_end(self) -> int:
        """The window goes to the end."""
        return self._move(len(self.entries) - WINDOW, len(self.entries))

    def to_start(self) -> int:
        """The window goes to the beginning."""
        return self._move(0, WINDOW)

    def _move(self, first: int, last: int) -> int:
        self.first, self.last = max(0, first), min(last, len(self.entries))
        return self.lay_out(self.width)

    def lay_out(self, width: int) -> int:
        """Everything anew: the width changed, or something was opened."""
        self.width = width
        self.rows = self._rows(self.entries[self.first : self.last])
        self._live_row = len(self.rows)
        if self._live is not None and self.at_end:
            self.rows += self._live_rows(self._live)
        return 0

    def older(self) -> int:
        """More entries above, and fewer below; returns how many rows came in at the top."""
        start = max(0, self.first - STEP)
        added = self._rows(self.entries[start : self.first])
        self.first = start
        self.rows[:0] = added
        self._live_row += len(added)
        while self.last - self.first > MOST:
            end = self._rows_of(self.entries[self.last - 1].id)
            if end < self.reserve:
                break
            del self.rows[end:]
            self.last -= 1
        return len(added)

    def newer(self) -> int:
        """More entries below, and fewer above; returns how many rows went away at the top."""
        if self.at_end:
            return 0
        until = min(len(self.entries), self.last + STEP)
        self.rows += self._rows(self.entries[self.last : until])
        self.last, self._live_row = until, len(self.rows)
        if self._live is not None and self.at_end:
            self.rows += self._live_rows(self._live)
        gone = 0
        while self.last - self.first > MOST:
            next_one = self._rows_of(self.entries[self.first + 1].id)
            if len(self.rows) - next_one < self.reserve:
                break
            gone, self.first = next_one, self.first + 1
        del self.rows[:gone]
        self._live_row -= gone
        return gone

    def _rows_of(self, entry_id: str) -> int:
        """The first row of an entry that is laid out."""
        return next(at for at, row in enumerate(self.rows) if row.entry == entry_id)

    def find(self, entry_id: str) -> int | None:
        """The first row of an entry, which is laid out if it was not; None where there is no such entry."""
        place = next((at for at, each in enumerate(self.entries) if each.id == entry_id), None)
        if place is None:
            return None
        if not self.first <= place < self.last:
            self._move(place - WINDOW // 2, place + WINDOW // 2)
        return self._rows_of(entry_id)

    def add(self, entry: Entry) -> int:
        """One more entry at the end (before a reply that is being written)."""
        at_end = self.at_end
        self.entries.append(entry)
        if self._live is not None or not at_end:
            return self.to_end()
        start, self.last = len(self.rows), len(self.entries)
        self.rows += self._rows([entry])
        return start

    def thoughtful(self) -> list[str]:
        """Ids of the entries that have thoughts, in order; the reply being written counts."""
        ids = [each.id for each in self.entries if each.reasoning.strip()]
        return [*ids, self._live.id] if self._live is not None and self._thoughts.text.strip() else ids

    def toggle(self, entry_id: str) -> int:
        """Open or fold the thoughts of an entry."""
        self.opened ^= {entry_id}
        return self.lay_out(self.width)

    def begin(self, entry: Entry) -> int:
        """A reply begins, perhaps with text; `entry.ending` is shown until its first word comes."""
        self._live, self._text, self._thoughts = entry, LiveText(), LiveText()
        self.opened.discard(entry.id)
        self._above = None
        self._text.grow(clean(entry.text))
        self._thoughts.grow(clean(entry.reasoning))
        if not self.at_end:
            return self.to_end()
        self._live_row = len(self.rows)
        self.rows += self._live_rows(entry)
        return self._live_row

    def grow(self, text: str, *, thought: bool = False) -> None:
        """More text; the rows follow with the next `settle`."""
        (self._thoughts if thought else self._text).grow(clean(text))

    def think(self, seconds: float) -> None:
        """How long the reply has been thought about; shown with the next `settle`."""
        if self._live is not None:
            self._live = replace(self._live, thought_seconds=seconds)

    def hint(self, ending: str) -> int:
        """What is shown until the reply's first word comes."""
        if self._live is not None:
            self._live = replace(self._live, ending=ending)
        return self.settle()

    def settle(self) -> int:
        """Lay out what grew, where it is in the window."""
        if self._live is None or not self.at_end:
            return len(self.rows)
        before = self._stable
        fresh = self._live_rows(self._live)
        kept = min(before, self._stable)
        return self._replace(self._live_row + kept, fresh[kept:])

    def finish(self, entry: Entry) -> int:
        """The reply as it was stored takes the place of the one being written."""
        start = self._live_row if self._live is not None else len(self.rows)
        if self._live is not None and self._live.id in self.opened:
            self.opened = self.opened - {self._live.id} | {entry.id}
        self._live, at_end = None, self.at_end
        self.entries.append(entry)
        if not at_end:
            return len(self.rows)
        self.last = len(self.entries)
        return self._replace(start, self._rows([entry]))

    def drop(self, entry_id: str) -> int:
        """Take an entry away again."""
        place = next((at for at, each in enumerate(self.entries) if each.id == entry_id), len(self.entries))
        self.entries = [each for each in self.entries if each.id != entry_id]
        return self._move(self.first - (place < self.first), self.last - (place < self.last))

    def code_number(self, row: int) -> int:
        """Which code block of its entry begins with a row, 0 for the first; thoughts are no part of it."""
        entry = self.rows[row].entry
        before = (each for each in self.rows[:row] if each.entry == entry)
        return sum(is_code_start(each) and not _thought(each) for each in before)

    def copy(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        """The text from (row, character) to (row, character), soft breaks undone."""
        lines = [row.line for row in self.rows[start[0] : end[0] + 1]]
        if not lines:
            return ""
        lines[-1] = _cut(lines[-1], 0, end[1])
        lines[0] = _cut(lines[0], start[1], None if len(lines) > 1 else end[1])
        return copy_text(lines)

    def _rows(self, entries: Sequence[Entry]) -> list[Row]:
        return [
            row for each in entries for row in entry_rows(each, self.width, opened=each.id in self.opened)
        ]

    def _replace(self, start: int, rows: list[Row]) -> int:
        """Put `rows` from `start` on; returns the first that really differs."""
        same = _common(self.rows[start:], rows)
        self.rows[start + same :] = rows[same:]
        return start + same

    def _live_rows(self, entry: Entry) -> list[Row]:
        thinking = not self._text.text.strip()
        rows = self._thinking(entry) if thinking else self._thought(entry)
        self._stable = 0 if thinking else len(rows) + self._text.stable
        lines = self._text.lines(self.width)
        if not lines and not self._thoughts.text.strip():
            lines = [Line(((entry.ending, ("muted",)),))]
        return [*rows, *body_rows(entry, lines), space_row(entry)]

    def _thinking(self, entry: Entry) -> list[Row]:
        """The name, and the thoughts as they grow."""
        if not self._thoughts.text.strip():
            return name_rows(entry)
        opened = entry.id in self.opened
        return name_rows(entry) + thinking_rows(entry, self._thoughts, self.width, opened=opened)

    def _thought(self, entry: Entry) -> list[Row]:
        """The name, and the thoughts, which are at their end: laid out once, not with every frame."""
        if not self._thoughts.text.strip():
            return name_rows(entry)
        opened = entry.id in self.opened
        state = (self.width, opened, len(self._thoughts.text), entry.thought_seconds)
        if self._above is None or self._above[0] != state:
            rows = name_rows(entry) + thought_rows(entry, self._thoughts, self.width, opened=opened)
            self._above = state, rows
        return self._above[1]


def _thought(row: Row) -> bool:
    return any("thought" in marks for _, marks in row.line.runs)


def _common(old: list[Row], new: list[Row]) -> int:
    """How many rows at the beginning are equal."""
    same = 0
    for left, right in zip(old, new, strict=False):
        if left != right:
            break
        same += 1
    return same


def _cut(line: Line, start: int, end: int | None) -> Line:
    text = line.text[start:end]
    return Line(((text, ()),), line.joiner, max(0, min(len(text), line.indent - start)), line.fill)
