"""The first start: what this is, which model is running, how to get a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType


class WelcomeScreen(ModalScreen[None]):
    """Shown once; Enter goes on."""

    CSS_PATH = "welcome.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [("enter,escape,space", "go_on")]

    def __init__(self, model: str, advice: Callable[[], Awaitable[str]], *, builtin: bool) -> None:
        """`advice` gives one line on what would run here, "" where there is nothing to say."""
        super().__init__()
        self.model, self.builtin, self.advice = clean(model), builtin, advice
        self._shown = False

    def on_mount(self) -> None:
        self.run_worker(self._advise, exit_on_error=False)

    async def _advise(self) -> None:
        text = await self.advice()
        line = self.query_one("#welcome-advice", Static)
        line.display = bool(text)
        line.update(Content(clean(text)))

    def compose(self) -> ComposeResult:
        kind = "guide" if self.builtin else "model"
        with Vertical(id="welcome"):
            yield Static(say("app.title"), id="welcome-title", markup=False)
            yield Static(say("app.welcome.what"), markup=False)
            yield Static(say("app.welcome.running"), classes="heading", markup=False)
            yield Static(Content(say(f"app.welcome.{kind}", model=self.model)))
            yield Static(say("app.welcome.real"), classes="heading", markup=False)
            yield Static(id="welcome-advice", markup=False)
            yield Static(say("app.welcome.how"), markup=False)
            yield Static(say("app.welcome.go_on"), id="welcome-go-on", markup=False)

    def on_screen_resume(self) -> None:
        """Whoever went to the models from here, and comes back, was welcomed."""
        if self._shown:
            self.dismiss(None)
        self._shown = True

    def on_click(self) -> None:
        self.action_go_on()

    def action_go_on(self) -> None:
        self.dismiss(None)
