"""Another text for a message: beside the old one, or in its place with what follows kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label, TextArea

from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text, and whether what follows the message is said again after it."""

    text: str
    keep_following: bool


class EditDialog(ModalScreen[Edited | None]):
    """None when left with Esc, or with nothing changed. Every change is told, so that it can be kept."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*textual_bindings("dialog"), *textual_bindings("edit")]
    AUTO_FOCUS = "#edited"

    def __init__(
        self, text: str, *, follows: bool, draft: str = "", changed: Callable[[str], None] | None = None
    ) -> None:
        """`follows`: something stands after the message, and can be kept.  `draft`: an earlier change of
        `text` that was broken off, "" for none.
        """
        super().__init__()
        self._text, self._follows, self._draft, self._changed = text, follows, draft, changed

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall"):
            yield Label(say("app.edit.title"), markup=False, classes="dialog-question")
            yield TextArea(self._draft or self._text, id="edited")
            if self._draft:
                yield Label(say("app.edit.broken_off"), markup=False, classes="dialog-hint")
            hint = "app.edit.hint_keep" if self._follows else "app.edit.hint"
            yield Label(say(hint), markup=False, classes="dialog-hint")
            with Horizontal(classes="dialog-buttons"):
                yield Button(say("app.edit.branch"), id="branch", variant="primary", compact=True)
                if self._follows:
                    yield Button(say("app.edit.keep"), id="keep", compact=True)

    def on_mount(self) -> None:
        box = self.query_one(TextArea)
        box.move_cursor(box.document.end)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        if self._changed is not None:
            self._changed("" if event.text_area.text == self._text else event.text_area.text)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_save(event.button.id == "keep")

    def action_save(self, keep: bool) -> None:
        text = self.query_one(TextArea).text
        if keep and not self._follows:
            return
        same = not text.strip() or text == self._text
        self.dismiss(None if same else Edited(text, keep))

    def action_leave(self) -> None:
        self.dismiss(None)
