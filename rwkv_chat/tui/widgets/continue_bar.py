"""One line above the prompt: this conversation was written with another model, and what it takes to go on."""

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

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.offering = False
        self.display = False

    def compose(self) -> ComposeResult:
        yield Static(id="continue-text", markup=False)
        yield Button(say("app.continue.read"), id="continue-button", compact=True)

    def offer(self, text: str) -> None:
        """Say what there is to read."""
        self._show(text, say("app.continue.read"))
        self.offering = True

    def progress(self, text: str) -> None:
        """Say how far the reading is."""
        self._show(text, say("app.continue.stop"))
        self.offering = False

    def hide(self) -> None:
        self.display = self.offering = False

    def _show(self, text: str, button: str) -> None:
        self.query_one("#continue-text", Static).update(Content(text))
        self.query_one("#continue-button", Button).label = button
        self.display = True

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Pressed())
