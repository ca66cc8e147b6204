"""Asks for a chat log: its path, what it seems to be and what it is, and who is who in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.import_dialog import PathInput, PathSuggester, typed_path
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from rwkv_chat.importers.logs import Guess

SHOWN = 60  # characters of a turn
MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class Log:
    """What was chosen.

    Attributes:
        form: a key of `FORMATS`, "" for the guess.
        who: the person who was asked for, "" where nobody had to be chosen.
    """

    path: Path
    form: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class LogWords:
    """What the dialog says. `who`: asks for a person; `take`: on the button; `capsules` are taken, too."""

    title: str
    who: str
    take: str
    capsules: bool = False


class AskLog(ModalScreen[Log | None]):
    """Enter in the path looks; the button takes. None when left with Esc."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = textual_bindings("dialog")
    AUTO_FOCUS = "#path"

    def __init__(self, words: LogWords) -> None:
        super().__init__()
        self._words = words
        self._looked: tuple[Path, str] | None = None  # what the rows below speak of
        self._seen = ""

    def compose(self) -> ComposeResult:
        from rwkv_chat.importers.formats import FORMATS, label

        forms = [(label(each), each) for each in FORMATS]
        with Vertical(classes="dialog"):
            yield Label(self._words.title, markup=False, classes="dialog-question")
            placeholder = say("app.chat_log.placeholder")
            yield PathInput(placeholder=placeholder, suggester=PathSuggester(), id="path", compact=True)
            yield Static(say("app.chat_log.hint"), id="log-seen", markup=False)
            with Horizontal(classes="dialog-row"):
                yield Label(say("app.chat_log.form"), markup=False)
                yield Select(forms, prompt=say("app.chat_log.guess"), id="form", compact=True)
            with Horizontal(classes="dialog-row", id="log-who"):
                yield Label(self._words.who, markup=False)
                yield Select[str]([], prompt=say("app.chat_log.nobody"), id="who", compact=True)
            with Horizontal(classes="dialog-buttons"):
                yield Button(self._words.take, id="take", compact=True, variant="primary")

    def on_mount(self) -> None:
        self.query_one("#log-who").display = False

    # ---------------------------------------------------------------- looking

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._look()

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        if event.select.id == "form" and self._looked is not None and self._looked[1] != self._form():
            self._look()

    def _path(self) -> Path | None:
        return typed_path(self.query_one("#path", Input).value)

    def _form(self) -> str:
        return _value(self.query_one("#form", Select))

    def _look(self) -> None:
        path = self._path()
        if path is None:
            self.query_one("#path", Input).focus()
        else:
            self._say(say("app.chat_log.looking"))
            work = partial(self._found, path, self._form())
            start_work(self, work, group="look", exclusive=True)

    async def _found(self, path: Path, form: str) -> None:
        from rwkv_chat.explain import sentence
        from rwkv_chat.session.capsule_files import is_capsule
        from rwkv_chat.session.errors import SessionError
        from rwkv_chat.session.logs import look

        try:
            if self._words.capsules and not form and await asyncio.to_thread(is_capsule, path):
                self._looked = (path, form)
                self._show(None, say("app.chat_log.capsule"))
                return
            found = await look(path, form)
        except (SessionError, OSError) as error:
            self._looked = None
            self._say(sentence(error), wrong=True)
            return
        self._looked = (path, form)
        self._show(found, seen(found))

    def _show(self, found: Guess | None, told: str) -> None:
        """The guess and its first turns; who speaks there, where that must be known."""
        names = found.participants[:MOST_NAMES] if found is not None else ()
        self._seen = told
        self._say(told)
        who = self.query_one("#who", Select)
        who.set_options([(title(each), each) for each in names])
        if found is not None and found.owner in names:
            who.value = found.owner
        self.query_one("#log-who").display = bool(names)
        (who if names and _value(who) == "" else self.query_one("#take")).focus()

    def _say(self, text: str, *, wrong: bool = False) -> None:
        seen = self.query_one("#log-seen", Static)
        seen.set_class(wrong, "-wrong")
        seen.update(Content(text))

    # ---------------------------------------------------------------- the end

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Nothing is taken that was not looked at, and nobody is guessed."""
        event.stop()
        path, who = self._path(), self.query_one("#who", Select)
        if path is None or self._looked != (path, self._form()):
            self._look()
        elif self.query_one("#log-who").display and not _value(who):
            self._say(f"{self._seen}\n{say('app.chat_log.choose')}", wrong=True)
            who.focus()
        else:
            self.dismiss(Log(path, self._form(), _value(who)))

    def action_leave(self) -> None:
        self.dismiss(None)


def seen(found: Guess | None) -> str:
    """What a log seems to be, and how it begins."""
    from rwkv_chat.importers.formats import label

    if found is None:
        return say("app.chat_log.ours")
    turns = "\n".join(
        say("app.chat_log.turn", who=title(who), text=title(text, SHOWN)) for who, text in found.turns
    )
    told = say("app.chat_log.seen", form=label(found.form), turns=turns)
    if not found.dates:
        return told
    labels = {each: label(f"{found.form}-{each}") for each in ("day", "month")}
    return f"{told}\n{say(f'logs.dates.{found.dates}', **labels)}"


def _value(select: Select[str]) -> str:
    return select.value if isinstance(select.value, str) else ""
