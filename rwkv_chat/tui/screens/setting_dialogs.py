"""Small questions of the Settings screen: one of several values, and a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

CHOSEN, OTHER = "(x) ", "( ) "


class Choose(ModalScreen[str | None]):
    """One of several values; None when left with Esc."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = textual_bindings("dialog")
    AUTO_FOCUS = "#values"

    def __init__(self, question: str, options: Sequence[tuple[str, str]], value: str) -> None:
        """`options`: each value with its words."""
        super().__init__()
        self.question, self.options, self.value = question, tuple(options), value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.question, markup=False, classes="dialog-question")
            yield OptionList(*map(self._option, self.options), id="values", compact=True)
            yield Label(say("app.settings.choose_hint"), markup=False, classes="dialog-hint")

    def _option(self, option: tuple[str, str]) -> Option:
        value, words = option
        return Option(Content((CHOSEN if value == self.value else OTHER) + words))

    def on_mount(self) -> None:
        values = [value for value, _ in self.options]
        self.query_one(OptionList).highlighted = values.index(self.value) if self.value in values else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.options[event.option_index][0])

    def action_leave(self) -> None:
        self.dismiss(None)


class PressKey(ModalScreen[str | None]):
    """The next key that is pressed; None for Esc."""

    CSS_PATH = "dialogs.tcss"

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(say("app.settings.press", label=self.label), markup=False, classes="dialog-question")
            yield Label(say("app.settings.press_hint"), markup=False, classes="dialog-hint")

    def taken(self, event: events.Key) -> None:
        """The app gives this screen every key before it looks what the key does."""
        event.stop()
        event.prevent_default()
        self.dismiss(None if event.key == "escape" else event.key)
