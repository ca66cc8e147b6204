"""The keys, from the one table and the catalogue: those of the part that has the focus come first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, KeyBinding, shown_keys
from rwkv_chat.tui.keymap import ROWS, keys_of
from rwkv_chat.tui.widgets.key_table import KeyRow, KeyTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.screen import Screen

SCOPES = tuple(dict.fromkeys(each.scope for each in BINDINGS))


class HelpScreen(ModalScreen[None]):
    """An overlay; the key that opened it, Esc and Enter close it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [("escape,enter,q", "leave")]
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
            yield Static(say("app.help.close"), id="help-close", markup=False)

    def _part(self, scope: str) -> ComposeResult:
        yield Static(say(f"app.help.{scope}"), classes="heading", markup=False)
        yield KeyTable([self._row(row) for row in BINDINGS if row.scope == scope])

    def _row(self, row: KeyBinding) -> KeyRow:
        return KeyRow(shown_keys(keys_of(row, self.keymap)), say(f"keys.{row.id}.help"))

    def action_leave(self) -> None:
        self.dismiss(None)


def scopes_of(screen: Screen[object]) -> list[str]:
    """The parts whose keys work on a screen where its focus is, from the prompt to the program."""
    ids = {each.binding.id for each in screen.active_bindings.values()}
    here = {row.scope for name, row in ROWS.items() if name in ids}
    return [name for name in SCOPES if name in here]
