"""Asks where a model is to be written in another format; the ending of the name says which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from rwkv_chat.plain_text import title
from rwkv_chat.session.shelf_convert import format_of
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.import_dialog import PathInput, PathSuggester, typed_path

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session.shelf_types import ShelfEntry

USUAL_ENDING = ".gguf"


class AskTarget(ModalScreen[Path | None]):
    """Gives a path whose ending names a format; None when left with Esc."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = textual_bindings("dialog")
    AUTO_FOCUS = "#path"

    def __init__(self, entry: ShelfEntry) -> None:
        super().__init__()
        self._entry = entry

    def compose(self) -> ComposeResult:
        usual = str(self._entry.path.with_suffix(USUAL_ENDING))
        question = say("app.convert.title", model=title(self._entry.name))
        with Vertical(classes="dialog"):
            yield Label(question, markup=False, classes="dialog-question")
            yield PathInput(usual, suggester=PathSuggester(), id="path", compact=True, select_on_focus=False)
            yield Label(say("app.convert.hint"), markup=False, classes="dialog-hint")
            with Horizontal(classes="dialog-buttons"):
                yield Button(say("app.convert.write"), id="write", compact=True, variant="primary")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._give()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self._give()

    def _give(self) -> None:
        path = typed_path(self.query_one("#path", Input).value)
        if path is not None and format_of(path) is not None:
            self.dismiss(path)
            return
        self.query_one(".dialog-hint", Label).update(say("app.convert.ending"))
        self.query_one("#path", Input).focus()

    def action_leave(self) -> None:
        self.dismiss(None)
