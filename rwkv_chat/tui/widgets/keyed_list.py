"""Rows that a screen knows by keys: which is highlighted, and which was chosen. Knows words only."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.widgets import OptionList


class KeyedList(OptionList):
    """An option's id is its key; one without is a heading."""

    @dataclass
    class Chosen(Message):
        """Enter, or a click."""

        key: str

    @dataclass
    class Looked(Message):
        """Another row is highlighted, or the rows themselves are others."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id, compact=True)

    @property
    def current(self) -> str | None:
        """Key of the highlighted row."""
        option = self.highlighted_option
        return option.id if option is not None else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Chosen(event.option_id))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(self.Looked())
