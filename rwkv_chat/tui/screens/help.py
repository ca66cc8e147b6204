"""The keys, from the one table and the catalogue: those of the part that has the focus come first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, KeyBinding, shown_keys
from rwkv_chat.tui.keymap import SCOPES, keys_of
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.widgets.key_table import KeyRow, KeyTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult


class HelpScreen(ModalScreen[None]):
    """An overlay; the key that opened it, Esc and Enter close it."""

    CSS_PATH = "help.tcss"
    BINDINGS = textual_bindings("help")
    AUTO_FOCUS = "#help"

    def __init__(self, keymap: Mapping[str, str], here: Sequence[str]) -> None:
        """`here`: the scopes whose keys work where the focus is, the nearest first."""
        super().__init__()
        self.keymap, self.here = keymap, tuple(here)

    def compose(self) -> ComposeResult:
        elsewhere = [name for name in SCOPES if name not in self.here]
        with VerticalScroll(id="help"):
            yield Static(say("app.help.title"), id="help-title", markup=False)
            for name in self.here:
                yield from self._part(name)
            yield Static(say("app.help.elsewhere"), id="help-elsewhere", markup=False)
            for name in elsewhere:
                yield from self._part(name)
            yield Static(say("app.help.second"), id="help-second", markup=False)
            yield Static(say("app.help.close"), id="help-close", markup=False)

    def _part(self, scope: str) -> ComposeResult:
        yield Static(say(f"app.help.{scope}"), classes="heading", markup=False)
        yield KeyTable([self._row(row) for row in BINDINGS if row.scope == scope])

    def _row(self, row: KeyBinding) -> KeyRow:
        return KeyRow(shown_keys(keys_of(row, self.keymap)), say(f"keys.{row.id}.help"))

    def action_leave(self) -> None:
        self.dismiss(None)
