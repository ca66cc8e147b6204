"""The keys, from the one table and the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, KeyBinding, shown_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

SCOPES = (
    *("prompt", "chat", "message", "replies", "writing", "books"),
    *("library", "models", "states", "exact", "app"),
)


class HelpScreen(ModalScreen[None]):
    """An overlay; the key that opened it, Esc and Enter close it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [("escape,enter,q", "leave")]

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self.keymap = keymap

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(say("app.help.title"), id="help-title", markup=False)
            for name in SCOPES:
                rows = [row for row in BINDINGS if row.scope == name]
                yield Static(say(f"app.help.{name}"), classes="heading", markup=False)
                yield Static(help_table(rows, self.keymap))
            yield Static(say("app.help.close"), id="help-close", markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)


def help_table(rows: list[KeyBinding], keymap: Mapping[str, str]) -> Content:
    """Keys and what they do, one row each, in two columns."""
    shown = [(shown_keys(keymap.get(row.id, row.keys)), say(f"keys.{row.id}.help")) for row in rows]
    lines = [Content.styled(f"{keys:<22}", "$accent") + Content(text) for keys, text in shown]
    return Content("\n").join(lines)
