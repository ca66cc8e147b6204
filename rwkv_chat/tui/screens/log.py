"""The program's log: its last lines as they come, searched and copied."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from rwkv_chat.logs import last_lines
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.tui.desk import Desk

LOOK_SECONDS = 1.0
STYLES = {" ERROR ": "$text-error", " CRITICAL ": "$text-error", " WARNING ": "$text-warning"}


class LogScreen(Screen[None]):
    """Over whatever was there before; Esc goes back to it."""

    CSS_PATH = "log.tcss"
    BINDINGS = textual_bindings("log")
    AUTO_FOCUS = "#log"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.lines: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        with Horizontal(id="log-top"):
            yield Static(say("app.log.title"), classes="title", id="log-title", markup=False)
            yield Input(placeholder=say("app.log.search"), id="log-search", compact=True)
        with VerticalScroll(id="log"):
            yield Static(id="log-lines", markup=False)
        yield Static(id="log-said", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        self.query_one("#log", VerticalScroll).anchor()
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        start_work(self, self._read, group="log", exclusive=True)

    async def _read(self) -> None:
        lines = await asyncio.to_thread(last_lines, self.desk.session.paths.log_file)
        if lines != self.lines or not lines:
            self.lines = lines
            self.show()

    @property
    def shown(self) -> list[str]:
        """The lines that have every word of the search."""
        words = self.query_one("#log-search", Input).value.lower().split()
        return [clean(each) for each in self.lines if all(word in each.lower() for word in words)]

    def show(self) -> None:
        lines = [Content.styled(each, _style(each)) for each in self.shown]
        text = Content("\n").join(lines) if lines else Content(say("app.log.none"))
        self.query_one("#log-lines", Static).update(text)

    def say_outcome(self, text: str) -> None:
        self.query_one("#log-said", Static).update(Content(text))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#log").focus()

    def action_search(self) -> None:
        self.query_one("#log-search", Input).focus()

    def action_copy(self) -> None:
        lines = self.shown
        self.app.copy_to_clipboard("\n".join(lines))
        self.say_outcome(say("app.log.copied", number=len(lines)))

    def action_diagnostics(self) -> None:
        start_work(self, partial(self.app.run_action, "app.diagnostics"))

    def action_leave(self) -> None:
        """Out of the search first."""
        box = self.query_one("#log-search", Input)
        if box.has_focus or box.value:
            box.value = ""
            self.query_one("#log").focus()
        else:
            self.dismiss(None)


def _style(line: str) -> str:
    return next((style for level, style in STYLES.items() if level in line), "$foreground")
