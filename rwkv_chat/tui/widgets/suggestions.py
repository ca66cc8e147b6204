"""What an empty conversation offers to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events


class Suggestions(OptionList):
    """Up to nine questions: pick one with the mouse, Enter, or its number."""

    @dataclass
    class Chosen(Message):
        """The person picked a question."""

        text: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id, compact=True)
        self._texts: tuple[str, ...] = ()

    def show(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)[:9]
        numbered = enumerate(self._texts, 1)
        self.set_options(
            [Option(Content.styled(f" {at} ", "$accent") + Content(text)) for at, text in numbered]
        )
        self.display = bool(self._texts)

    def on_key(self, event: events.Key) -> None:
        if event.character and event.character.isdigit() and 0 < int(event.character) <= len(self._texts):
            event.stop()
            self._choose(int(event.character) - 1)

    def on_focus(self) -> None:
        self.action_first()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option_index)

    def _choose(self, index: int) -> None:
        self.post_message(self.Chosen(self._texts[index]))
