"""The box a message is typed in: Enter sends, Shift+Enter makes a new line, and it grows with its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message
from textual.widgets import TextArea

from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from textual import events


class PromptBox(TextArea):
    """A multi-line prompt. It keeps its text until the screen takes it: nothing typed is ever lost."""

    BINDINGS = textual_bindings("prompt")

    @dataclass
    class Submitted(Message):
        """The person wants to send `text` (not blank)."""

        text: str

    @dataclass
    class Asked(Message):
        """Tab or Down in the empty box: the person looks for what is offered."""

    def __init__(self, *, placeholder: str, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(soft_wrap=True, compact=True, placeholder=placeholder, id=id)
        self.highlight_cursor_line = False
        self.offering = False  # whether the screen offers something to an empty box

    def on_key(self, event: events.Key) -> None:
        if event.key in ("tab", "down") and self.offering and not self.text:
            event.prevent_default()
            event.stop()
            self.post_message(self.Asked())

    def action_send(self) -> None:
        if self.text.strip():
            self.post_message(self.Submitted(self.text))

    def action_newline(self) -> None:
        self.replace("\n", *self.selection)
        self.scroll_cursor_visible()
