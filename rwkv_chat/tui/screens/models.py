"""How to get a real model: what runs now, what is worth having, and opening a file that is already here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Button, Footer, Input, Static

from engine.errors import EngineError
from rwkv_chat.explain import sentence
from rwkv_chat.paths import expanded
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.tui.desk import Desk

WHERE = "https://huggingface.co/BlinkDL/rwkv7-g1"
SIZES = (("0.1b", "382 MB"), ("0.4b", "902 MB"), ("1.5b", "3.06 GB"), ("2.9b", "5.9 GB"))


class ModelsScreen(Screen[None]):
    """The mode behind Ctrl+O."""

    CSS_PATH = "models.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", say("app.models.back"), key_display="Esc")
    ]
    AUTO_FOCUS = "#path"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page", can_focus=False):
            yield Static(say("app.models.title"), classes="title", markup=False)
            yield Static(id="now")
            yield Static(say("app.models.recommended"), classes="heading", markup=False)
            yield Static(_table(), id="sizes")
            yield Static(say("app.models.how", where=WHERE), markup=False, classes="text")
            yield Static(say("app.models.open"), classes="heading", markup=False)
            with Horizontal(id="open"):
                yield Input(placeholder=say("app.models.placeholder"), id="path", compact=True)
                yield Button(say("app.models.use"), id="use", compact=True, variant="primary")
            yield Static(id="outcome", markup=False)
            yield Button(say("app.models.builtin"), id="builtin", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.desk.watchers.append(self.model_changed)
        self.model_changed()

    def model_changed(self) -> None:
        card, state = self.desk.session.models.current, self.desk.model
        now = say("app.models.now", model=clean(card.name), path=clean(str(card.path)))
        if state.error is not None:
            now += "\n" + sentence(state.error)
        elif not state.ready:
            now += "\n" + say("app.models.loading", share=f"{state.share or 0:.0%}")
        self.query_one("#now", Static).update(Content(now))
        self.query_one("#builtin", Button).display = not card.builtin

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._use(event.value)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "builtin":
            self.run_worker(self._change(None), exclusive=True, exit_on_error=False)
        else:
            self._use(self.query_one("#path", Input).value)

    def _use(self, typed: str) -> None:
        path = typed_path(typed)
        if path is not None:
            self.run_worker(self._change(path), exclusive=True, exit_on_error=False)

    async def _change(self, path: Path | None) -> None:
        """Use another weights file (None: the built-in guide); the one in use stays if it is no model."""
        self._outcome(say("app.models.checking"))
        try:
            card = await self.desk.session.models.use(path)
        except EngineError as error:
            self._outcome(sentence(error), wrong=True)
            return
        self.desk.model_chosen()
        self._outcome(say("app.models.chosen", model=clean(card.name)))

    def _outcome(self, text: str, *, wrong: bool = False) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.set_class(wrong, "-wrong")
        outcome.update(Content(text))

    def action_back(self) -> None:
        self.app.switch_mode("chat")


def typed_path(text: str) -> Path | None:
    """A path as people type or drop it: quoted, escaped, a file: address, from ~; None if blank."""
    text = text.strip().strip("'\"")
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    if os.sep == "/":
        text = text.replace("\\ ", " ")
    return expanded(Path(text)) if text else None


def _table() -> Content:
    rows = [
        Content.styled(f"  {name:<6}", "bold")
        + Content(f"{size:>8}  ")
        + Content.styled(_advice(name), "$muted")
        for name, size in SIZES
    ]
    return Content("\n").join(rows)


def _advice(name: str) -> str:
    return say(f"app.models.size.{name.replace('.', '_')}")
