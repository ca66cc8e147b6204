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
from rwkv_chat.tui.columns import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from rwkv_chat.tui.completion import Offer

WIDEST = 34
GAP = "  "
LEAST = 10  # cells of the words beside a command
UNKNOWN = 200


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
        self._draw(0 if offers else None)
        self.display = bool(offers)

    def on_resize(self, _: events.Resize) -> None:
        self._draw(self.highlighted)

    def _draw(self, highlighted: int | None) -> None:
        """In the width that there is, with the scroll bar's cells left free: it comes and goes. What was
        never shown has no width yet.
        """
        first = min(WIDEST, max((cell_len(each.shown) for each in self._offers), default=0))
        width = self.content_region.width or UNKNOWN
        second = max(LEAST, width - self.scrollbar_size_vertical - first - len(GAP))
        self.set_options([Option(_line(each, first, second)) for each in self._offers])
        self.highlighted = highlighted

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


def _line(offer: Offer, first: int, second: int) -> Content:
    shown = clean(offer.shown)
    if not offer.help:
        return Content(shown)
    lines = columns(shown, clean(offer.help), first, second)
    parts = ((Content(one), Content.styled(GAP + other, "$muted")) for one, other in lines)
    return Content("\n").join(one + other for one, other in parts)
