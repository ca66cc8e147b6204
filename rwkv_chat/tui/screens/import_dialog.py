"""Asks for a file or a folder to import: a path with completion, and whether to copy it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Button, Input, Label

from rwkv_chat.paths import expanded
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

MOST_LOOKED_AT = 5_000  # names in a folder
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Import:
    """What to import, and whether its files are copied into the program's folder."""

    path: Path
    copy: bool = False


@dataclass(frozen=True, slots=True)
class PathWords:
    """What the dialog says. `take`: on the button that Enter presses.  copy: on the one that copies; "" for
    none.
    """

    title: str
    placeholder: str
    hint: str
    take: str
    copy: str = ""

    @classmethod
    def of_models(cls) -> PathWords:
        return cls(
            say("app.import.title"),
            say("app.import.placeholder"),
            say("app.import.hint"),
            say("app.import.in_place"),
            say("app.import.copy"),
        )


class PathSuggester(Suggester):
    """Completes the last part of a path."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value)


class PathInput(Input):
    """Tab takes the completion, also one that is not shown yet; where there is none, it goes on."""

    async def on_key(self, event: events.Key) -> None:
        if event.key != "tab" or self.cursor_position != len(self.value):
            return
        whole = self._suggestion or await asyncio.to_thread(completed, self.value)
        if whole and whole.startswith(self.value) and whole != self.value:
            event.stop()
            event.prevent_default()
            self.value = whole
            self.cursor_position = len(whole)


class PathDialog(ModalScreen[Given | None]):
    """Base of what asks for a path: Enter, or a button, gives what comes of it; None when left with Esc."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = textual_bindings("dialog")
    AUTO_FOCUS = "#path"

    def given(self, path: Path | None, button: str) -> Given | None:
        """What a path comes to (None: nothing was typed); None once it was said what is wrong with it.

        Args:
            button: the id of the one that was pressed, "" for Enter.
        """
        raise NotImplementedError

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._give("")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self._give(event.button.id or "")

    def _give(self, button: str) -> None:
        box = self.query_one("#path", Input)
        found = self.given(typed_path(box.value), button)
        if found is None:
            box.focus()
        else:
            self.dismiss(found)

    def action_leave(self) -> None:
        self.dismiss(None)


class AskPath(PathDialog[Import]):
    """Gives what to import."""

    def __init__(self, words: PathWords | None = None) -> None:
        super().__init__()
        self._words = words or PathWords.of_models()

    def compose(self) -> ComposeResult:
        words = self._words
        with Vertical(classes="dialog"):
            yield Label(words.title, markup=False, classes="dialog-question")
            yield PathInput(placeholder=words.placeholder, suggester=PathSuggester(), id="path", compact=True)
            yield Label(words.hint, markup=False, classes="dialog-hint")
            with Horizontal(classes="dialog-buttons"):
                yield Button(words.take, id="in-place", compact=True, variant="primary")
                if words.copy:
                    yield Button(words.copy, id="copy", compact=True)

    def given(self, path: Path | None, button: str) -> Import | None:
        return Import(path, copy=button == "copy") if path is not None else None


def typed_path(text: str) -> Path | None:
    """A path as people type or drop it: quoted, escaped, a file: address, from ~; None if blank."""
    text = text.strip().strip("'\"")
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    if os.sep == "/":
        text = text.replace("\\ ", " ")
    return expanded(Path(text)) if text else None


def completed(typed: str) -> str | None:
    """What was typed with the rest of the first name that fits, folders with a slash; None if none does."""
    folder, slash, start = typed.rpartition("/")
    parent = typed_path(f"{folder}{slash}") if folder or slash else Path()
    if parent is None or not typed.strip():
        return None
    try:
        with os.scandir(parent) as found:
            names = [
                each.name + ("/" if each.is_dir() else "")
                for each, _ in zip(found, range(MOST_LOOKED_AT), strict=False)
                if each.name.startswith(start) and (start or not each.name.startswith("."))
            ]
    except (OSError, ValueError):
        return None
    best = min(names, default="")
    return f"{folder}{slash}{best}" if len(best) > len(start) else None
