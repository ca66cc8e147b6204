"""One line above the prompt: what the model in use has not read of this conversation, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from textual.app import ComposeResult


class ContinueBar(Horizontal):
    """Hidden until something is to be said."""

    @dataclass
    class Pressed(Message):
        """The button: begin to read, or stop."""

    @dataclass
    class LastWanted(Message):
        """The other button: only the end of the conversation."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.offering = False
        self.display = False

    def compose(self) -> ComposeResult:
        yield Static(id="continue-text", markup=False)
        with Horizontal(id="continue-buttons"):
            yield Button(say("app.continue.last"), id="continue-last", compact=True)
            yield Button(say("app.continue.read"), id="continue-button", compact=True)

    def offer(self, text: str, *, long: bool = False) -> None:
        """Say what there is to read; of something long, the end alone can be read."""
        self.long(long)
        self._show(text, say("app.continue.read"))
        self.offering = True

    def progress(self, text: str) -> None:
        """Say how far the reading is."""
        self._show(text, say("app.continue.stop"))
        self.offering = False

    def long(self, long: bool) -> None:
        """Whether the end alone can be asked for."""
        self.query_one("#continue-last", Button).display = long

    def hide(self) -> None:
        self.display = self.offering = False

    def _show(self, text: str, button: str) -> None:
        self.query_one("#continue-text", Static).update(Content(text))
        self.query_one("#continue-button", Button).label = button
        self.display = True

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        last = event.button.id == "continue-last"
        self.post_message(self.LastWanted() if last else self.Pressed())
