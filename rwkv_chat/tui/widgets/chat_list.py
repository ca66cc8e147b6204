"""The conversations at the left, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import title
from rwkv_chat.tui.cells import short_title

BUSY, IDLE = "● ", "  "
USUAL_WIDTH = 24  # cells, until it is known


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One conversation; `busy` while a reply is being written in it."""

    id: str
    title: str
    busy: bool = False


class ChatList(OptionList):
    """Titles to pick from."""

    @dataclass
    class Picked(Message):
        """The person chose a conversation."""

        thread_id: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id, compact=True)
        self._rows: tuple[ChatRow, ...] = ()

    def show(self, rows: tuple[ChatRow, ...], current: str | None) -> None:
        """The rows, with the open conversation highlighted."""
        if rows != self._rows:
            self._rows = rows
            self._draw()
        ids = [row.id for row in rows]
        self.highlighted = ids.index(current) if current in ids else None

    def on_resize(self) -> None:
        """Titles are cut by the width."""
        highlighted = self.highlighted
        self._draw()
        self.highlighted = highlighted

    def _draw(self) -> None:
        width = self.scrollable_content_region.width or USUAL_WIDTH
        self.set_options([Option(_prompt(row, width), id=row.id) for row in self._rows])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Picked(event.option_id))


def _prompt(row: ChatRow, width: int) -> Content:
    mark = Content.styled(BUSY, "$success") if row.busy else Content(IDLE)
    return mark + Content(short_title(title(row.title), max(8, width - len(IDLE))))
