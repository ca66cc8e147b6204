"""The box a message is typed in: Enter sends, Shift+Enter makes a new line, and it grows with its text.

Long texts that are pasted stand in it folded (`tui/folds.py`), and are whole again in what it submits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.geometry import Offset
from textual.message import Message
from textual.widgets import TextArea

from rwkv_chat.plain_text import in_place
from rwkv_chat.tui.bindings import scope
from rwkv_chat.tui.folds import Folds, is_long, pasted_words
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.recall import Recall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text
    from textual import events
    from textual.document._document import EditResult
    from textual.document._edit import Edit


OWN = frozenset(row.id for row in scope("prompt"))
STEERING: dict[str, Literal["next", "previous", "take", "send", "drop"]] = {
    "down": "next",
    "up": "previous",
    "tab": "take",
    "enter": "send",
    "escape": "drop",
}


class PromptBox(TextArea):
    """A multi-line prompt. A text that the screen cannot take comes back: nothing typed is ever lost.

    Attributes:
        offering: whether the screen offers something to an empty box.
        steering: whether a list of completions is open, which then gets the keys that move in it.
        recall: what was sent before, for Up and Down at the edges.
        folds: what is folded.
    """

    BINDINGS = textual_bindings("prompt")

    @dataclass
    class Submitted(Message):
        """The person wants to send `text` (not blank)."""

        text: str

    @dataclass
    class Asked(Message):
        """Tab or Down in the empty box: the person looks for what is offered."""

    @dataclass
    class Blank(Message):
        """Enter in the empty box."""

    @dataclass
    class BackWanted(Message):
        """Up in the empty box: what waits to be sent is wanted back, if anything does."""

    @dataclass
    class Steered(Message):
        """A key for the list of completions."""

        way: Literal["next", "previous", "take", "send", "drop"]

    def __init__(self, *, placeholder: str, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(soft_wrap=True, compact=True, placeholder=placeholder, id=id)
        self.highlight_cursor_line = False
        self.offering = self.steering = self.waiting = False
        self.recall = Recall()
        self.folds = Folds()

    # ---------------------------------------------------------------- what it holds

    @property
    def written(self) -> str:
        """All that stands in it, unfolded."""
        return self.folds.written(self.text)

    @property
    def message(self) -> str:
        """The message as it would be sent: a pasted text often ends with a line's end."""
        return self.written.rstrip().lstrip("\n")

    def load(self, text: str, folded: Iterable[tuple[str, str]] = ()) -> None:
        """Another text in place of this one, which cannot be undone."""
        self.folds = Folds(folded)
        self.recall.end()
        if text != self.text:
            self.text = text
        self.move_cursor(self.document.end)

    def give_back(self, text: str) -> None:
        """The screen could not take a message: it stands in the box again, before what was typed since."""
        shown = self.folds.add(pasted_words(text), text) if is_long(text) else text
        self.text = f"{shown}\n{self.text}" if self.text else shown
        self.move_cursor(self.document.end)

    def put(self, words: str, text: str, length: int) -> None:
        """A folded text in place of the last `length` characters before the cursor."""
        row, column = self.cursor_location
        self.replace(f"{self.folds.add(words, text)} ", (row, column - length), (row, column))
        self.scroll_cursor_visible()

    def complete(self, text: str, length: int) -> None:
        """`text` in place of the last `length` characters before the cursor."""
        row, column = self.cursor_location
        self.replace(text, (row, column - length), (row, column))

    @property
    def before_cursor(self) -> str:
        """The cursor's line, up to the cursor."""
        row, column = self.cursor_location
        return self.document.get_line(row)[:column]

    # ---------------------------------------------------------------- keys

    async def on_key(self, event: events.Key) -> None:
        """The box runs its own bindings, in the order of typing: looked up by the app, Enter would overtake
        the letters before it whenever the box is behind.
        """
        if self._takes(event.key):
            event.prevent_default()
            event.stop()
            return
        active = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if active is not None and active.node is self and active.binding.id in OWN:
            event.prevent_default()
            event.stop()
            await self.run_action(active.binding.action)

    def _takes(self, key: str) -> bool:
        """Keys that do something else than in any text."""
        if self.steering and key in STEERING:
            self.post_message(self.Steered(STEERING[key]))
            return True
        if key == "up" and not self.text and self.waiting:
            self.post_message(self.BackWanted())
            return True
        if key in ("tab", "down") and self.offering and not self.text:
            self.post_message(self.Asked())
            return True
        return key in ("up", "down") and self._call_back(key)

    def _call_back(self, key: str) -> bool:
        """At the edges, Up and Down go through what was sent before."""
        at = self.cursor_location
        if not self.selection.is_empty:
            return False
        if key == "up":
            found = self.recall.older(self.text) if self.navigator.is_first_wrapped_line(at) else None
        else:
            found = self.recall.newer(self.text) if self.navigator.is_last_wrapped_line(at) else None
        if found is None:
            return False
        self.replace(found, (0, 0), self.document.end)
        self.move_cursor((0, len(self.document.get_line(0))) if key == "up" else self.document.end)
        return True

    def action_send(self) -> None:
        """Empties the box at once, so that what is typed from now on belongs to the next message. It is told
        before the box tells that it is empty: whoever keeps the text has it all the time. A backslash at the
        end asks for a new line, where no other key reaches the program.
        """
        if self.text.endswith("\\") and self.cursor_location == self.document.end:
            row, column = self.cursor_location
            self.replace("\n", (row, column - 1), (row, column))
            return
        if text := self.message:
            self.post_message(self.Submitted(text))
            self.load("")
            self.recall.add(text)
        elif not self.text:
            self.post_message(self.Blank())

    def action_newline(self) -> None:
        self.replace("\n", *self.selection)
        self.scroll_cursor_visible()

    def action_unfold(self) -> None:
        """Open the folded text at the cursor, or before it, or the first."""
        found = [
            (row, *span)
            for row in range(self.document.line_count)
            for span in self.folds.spans(self.document.get_line(row))
        ]
        if not found:
            return
        before = [each for each in found if each[:2] <= self.cursor_location]
        row, start, end = before[-1] if before else found[0]
        mark = self.document.get_line(row)[start:end]
        self.replace(self.folds.text(mark), (row, start), (row, end))

    # ---------------------------------------------------------------- folded texts

    def on_paste(self, event: events.Paste) -> None:
        if not self.read_only and is_long(event.text):
            event.prevent_default()
            event.stop()
            self._fold(event.text)

    def action_paste(self) -> None:
        if is_long(self.app.clipboard):
            self._fold(self.app.clipboard)
        else:
            super().action_paste()

    def take_paste(self, text: str) -> None:
        """What was pasted while something else had the focus."""
        if is_long(text):
            self._fold(text)
        else:
            self.replace(text, *self.selection)

    def _fold(self, text: str) -> None:
        mark = self.folds.add(pasted_words(text), text)
        self.replace(mark, *self.selection)
        self.scroll_cursor_visible()

    def edit(self, edit: Edit) -> EditResult:
        """A mark goes as a whole, and nothing is typed into it: a mark that is changed stands for nothing."""
        start, end = sorted((edit.from_location, edit.to_location))
        if (inside := self._mark_around(start)) is not None:
            row, first, last = inside
            start = (row, last if start == end else first)
            end = max(start, end)
        if (inside := self._mark_around(end)) is not None:
            end = (inside[0], inside[2])
        edit.from_location, edit.to_location = start, end
        return super().edit(edit)

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """An undo measures the box before it moves the cursor, which may then be below the last line."""
        if self.cursor_location[0] >= self.document.line_count:
            return Offset()
        return super().scroll_cursor_visible(center, animate)

    def _mark_around(self, at: tuple[int, int]) -> tuple[int, int, int] | None:
        row, column = at
        if row >= self.document.line_count:  # a whole line is deleted up to the next, if there is one or not
            return None
        for start, end in self.folds.spans(self.document.get_line(row)):
            if start < column < end:
                return row, start, end
        return None

    def get_line(self, line_index: int) -> Text:
        """As it is drawn: what would steer the terminal or hide something is shown."""
        line = super().get_line(line_index)
        line.plain = in_place(line.plain)
        for start, end in self.folds.spans(line.plain):
            line.stylize("italic", start, end)
        return line
