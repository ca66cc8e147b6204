"""The list above the prompt of what may stand at the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import clean
from rwkv_chat.tui.cells import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.tui.completion import Offer

WIDEST = 34


class Completions(OptionList, can_focus=False):
    """Hidden while there is nothing to offer; the prompt keeps the focus, and steers it."""

    @dataclass
    class Picked(Message):
        """By the mouse."""

        offer: Offer

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id, compact=True)
        self._offers: tuple[Offer, ...] = ()
        self.display = False

    def show(self, offers: Sequence[Offer]) -> None:
        if tuple(offers) == self._offers:
            return
        self._offers = tuple(offers)
        width = min(WIDEST, max((cell_len(each.shown) for each in offers), default=0))
        self.set_options([Option(_line(each, width)) for each in offers])
        self.highlighted = 0 if offers else None
        self.display = bool(offers)

    @property
    def offer(self) -> Offer | None:
        """The one that is marked."""
        return self._offers[self.highlighted] if self.highlighted is not None and self._offers else None

    def step(self, by: int) -> None:
        if self._offers:
            self.highlighted = ((self.highlighted or 0) + by) % len(self._offers)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Picked(self._offers[event.option_index]))


def _line(offer: Offer, width: int) -> Content:
    shown = clean(offer.shown)
    if not offer.help:
        return Content(shown)
    return Content(cell(shown, width)) + Content.styled(f"  {clean(offer.help)}", "$muted")
