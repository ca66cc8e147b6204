"""Lines above the prompt: the reply says the same again and again, and what is to become of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from textual.app import ComposeResult

CHOICES = ("stop", "go_on", "raise")


class RepeatBar(Vertical):
    """Hidden until a reply has paused."""

    @dataclass
    class Chosen(Message):
        """One of `CHOICES`."""

        what: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.display = False

    def compose(self) -> ComposeResult:
        yield Static(say("app.repeats.text"), id="repeats-text", markup=False)
        with Horizontal(id="repeats-buttons"):
            for each in CHOICES:
                yield Button(say(f"app.repeats.{each}"), id=f"repeats-{each}", compact=True)

    def offer(self) -> None:
        """Show it."""
        self.display = True

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.display = False
        self.post_message(self.Chosen((event.button.id or "").removeprefix("repeats-")))
