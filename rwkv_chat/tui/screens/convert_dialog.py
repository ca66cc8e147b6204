"""Asks where a model is to be written in another format; the ending of the name says which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Label

from rwkv_chat.plain_text import title
from rwkv_chat.session.shelf_convert import format_of
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.import_dialog import PathDialog, PathInput, PathSuggester

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session.shelf_types import ShelfEntry

USUAL_ENDING = ".gguf"


class AskTarget(PathDialog[Path]):
    """Gives a path whose ending names a format."""

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

    def given(self, path: Path | None, button: str) -> Path | None:  # noqa: ARG002  there is one button
        if path is not None and format_of(path) is not None:
            return path
        self.query_one(".dialog-hint", Label).update(say("app.convert.ending"))
        return None
