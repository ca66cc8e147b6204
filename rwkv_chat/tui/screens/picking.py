"""One of several lines is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import title
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

LONGEST = 200


class Pick(ModalScreen[int | None]):
    """Gives the number of the line, 0 for the first; None when left with Esc."""

    CSS_PATH = "picking.tcss"
    BINDINGS = textual_bindings("dialog")
    AUTO_FOCUS = "#picked"

    def __init__(self, question: str, rows: Sequence[tuple[str, str]], chosen: int = 0) -> None:
        """`rows`: what kind of thing each is, and its text."""
        super().__init__()
        self.question, self.rows, self._chosen = question, tuple(rows), chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.question, markup=False, classes="dialog-question")
            yield OptionList(*(Option(_line(*each)) for each in self.rows), id="picked", compact=True)

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = self._chosen

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_index)

    def action_leave(self) -> None:
        self.dismiss(None)


def _line(kind: str, text: str) -> Content:
    head = Content.styled(f"{title(kind)}  ", "$primary") if kind else Content("")
    return head + Content(title(text, LONGEST))
