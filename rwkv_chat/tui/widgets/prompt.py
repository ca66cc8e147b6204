"""The box a message is typed in: Enter sends, Shift+Enter makes a new line, and it grows with its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message
from textual.widgets import TextArea

from rwkv_chat.plain_text import in_place
from rwkv_chat.tui.bindings import scope
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from rich.text import Text
    from textual import events


OWN = frozenset(row.id for row in scope("prompt"))


class PromptBox(TextArea):
    """A multi-line prompt. A text that the screen cannot take comes back: nothing typed is ever lost."""

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

    def __init__(self, *, placeholder: str, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(soft_wrap=True, compact=True, placeholder=placeholder, id=id)
        self.highlight_cursor_line = False
        self.offering = False  # whether the screen offers something to an empty box

    async def on_key(self, event: events.Key) -> None:
        """The box runs its own bindings, in the order of typing: looked up by the app, Enter would overtake
        the letters before it whenever the box is behind.
        """
        if event.key in ("tab", "down") and self.offering and not self.text:
            event.prevent_default()
            event.stop()
            self.post_message(self.Asked())
            return
        active = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if active is not None and active.node is self and active.binding.id in OWN:
            event.prevent_default()
            event.stop()
            await self.run_action(active.binding.action)

    def get_line(self, line_index: int) -> Text:
        """As it is drawn: what would steer the terminal or hide something is shown."""
        line = super().get_line(line_index)
        line.plain = in_place(line.plain)
        return line

    def action_send(self) -> None:
        """Empties the box at once, so that what is typed from now on belongs to the next message."""
        text = self.text.rstrip().lstrip("\n")  # a pasted text often ends with a line's end
        if text:
            self.clear()
            self.post_message(self.Submitted(text))
        elif not self.text:
            self.post_message(self.Blank())

    def give_back(self, text: str) -> None:
        """The screen could not take a message: it stands in the box again, before what was typed since."""
        self.text = f"{text}\n{self.text}" if self.text else text
        self.move_cursor(self.document.end)

    def action_newline(self) -> None:
        self.replace("\n", *self.selection)
        self.scroll_cursor_visible()
