"""Asks how the result of a tuning run is to be written: as it is or merged into the model, and where.

What it may reveal is said before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Label, Select, Static

from rwkv_chat.phrases import listed
from rwkv_chat.session.shelf_convert import FORMATS, STATE_FORMS
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.import_dialog import PathDialog, PathInput, PathSuggester

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from rwkv_chat.session.tune_export import What

USUAL_ENDING = ".pth"
NUMBERS = ("stored", "bf16", "fp16", "fp32", "q8_0")
# what is written → the endings of its file's name; none: it is a folder
OF_STATE = tuple(FORMATS[each] for each in STATE_FORMS)
OF_MODEL = tuple(FORMATS.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """`numbers`: of a merged model, as `Conversion.dtype`."""

    path: Path
    what: What
    numbers: str = "stored"


class AskExport(PathDialog[Wanted]):
    """Gives a path that fits what is to be written."""

    def __init__(self, name: str, method: str) -> None:
        super().__init__()
        self._name, self._method = name, method

    def compose(self) -> ComposeResult:
        kinds = [(say(f"tune_screen.export.{each}"), each) for each in self._kinds()]
        numbers = [(say("tune_screen.export.stored") if each == "stored" else each, each) for each in NUMBERS]
        with Vertical(classes="dialog"):
            question = say("tune_screen.export.ask", name=self._name)
            yield Label(question, markup=False, classes="dialog-question")
            yield PathInput(suggester=PathSuggester(), id="path", compact=True)
            yield Static(id="export-hint", classes="dialog-hint", markup=False)
            with Horizontal(classes="dialog-row"):
                yield Label(say("tune_screen.export.what"), markup=False)
                yield Select(kinds, value=kinds[0][1], allow_blank=False, id="what", compact=True)
            with Horizontal(classes="dialog-row", id="numbers-row"):
                yield Label(say("tune_screen.export.numbers"), markup=False)
                yield Select(numbers, value=NUMBERS[0], allow_blank=False, id="numbers", compact=True)
            yield Static(say("tune_screen.export.warning"), classes="dialog-warning", markup=False)
            with Horizontal(classes="dialog-buttons"):
                yield Button(say("tune_screen.export.write"), id="write", compact=True, variant="primary")

    def on_mount(self) -> None:
        self._show()

    def _kinds(self) -> tuple[What, ...]:
        return ("merged",) if self._method == "full" else ("result", "merged")

    @property
    def _what(self) -> What:
        return "merged" if self.query_one("#what", Select).value == "merged" else "result"

    def _endings(self) -> tuple[str, ...]:
        if self._what == "result":
            return OF_STATE if self._method == "state" else ()
        return OF_STATE if self._method == "state" else OF_MODEL  # a GGUF has no place for a state

    def _show(self, wrong: str = "") -> None:
        endings = self._endings()
        usual = say("tune_screen.export.endings", endings=listed(endings))
        hint = self.query_one("#export-hint", Static)
        hint.set_class(bool(wrong), "-wrong")
        hint.update(Content(wrong or (usual if endings else say("tune_screen.export.folder"))))
        self.query_one("#numbers-row").display = self._what == "merged"

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        self._show()

    def given(self, path: Path | None, button: str) -> Wanted | None:  # noqa: ARG002  there is one button
        endings = self._endings()
        if path is not None and endings and not path.suffix:
            path = path.with_name(path.name + USUAL_ENDING)
        if path is not None and (not endings or path.suffix.lower() in endings):
            return Wanted(path, self._what, str(self.query_one("#numbers", Select).value))
        wrong = say("tune_screen.export.wrong", endings=listed(endings)) if path is not None else ""
        self._show(wrong)
        return None
