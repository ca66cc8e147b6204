"""Small questions over the screen: a line of text, or yes and no."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class Ask(ModalScreen[str | None]):
    """Asks for one line; None when left with Esc."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = textual_bindings("dialog")

    def __init__(self, question: str, value: str = "", hint: str = "") -> None:
        """`hint`: what the keys do; "" where the answer replaces what is there."""
        super().__init__()
        self.question, self.value = question, value
        self._hint = hint or say("app.dialog.ask_hint")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.question, markup=False, classes="dialog-question")
            yield Input(self.value, id="answer", compact=True)
            yield Label(self._hint, markup=False, classes="dialog-hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        self.dismiss(None)


class Confirm(ModalScreen[bool]):
    """Asks yes or no; "no" has the focus."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*textual_bindings("dialog"), *textual_bindings("confirm")]
    AUTO_FOCUS = "#no"

    def __init__(self, question: str, yes: str, no: str = "") -> None:
        """`no`: "" where something would be deleted, and is kept."""
        super().__init__()
        self.question, self.yes, self.no = question, yes, no or say("app.dialog.no")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self.question, markup=False, classes="dialog-question")
            with Horizontal(classes="dialog-buttons"):
                yield Button(self.yes, id="yes", variant="error", compact=True)
                yield Button(self.no, id="no", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_move(self, step: int) -> None:
        """To the other button."""
        if step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_leave(self) -> None:
        self.dismiss(False)
