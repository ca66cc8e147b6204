"""What is wrong, where it happened, and what can be done about it: a sentence and a few buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from rwkv_chat.texts import say
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from textual.app import ComposeResult

MARK = "! "


class ProblemLine(Vertical):
    """Hidden while nothing is wrong."""

    @dataclass
    class Asked(Message):
        """A button was pressed: the name of an action of `rwkv_chat.tui.problems`."""

        action: str

    def compose(self) -> ComposeResult:
        yield Static(id="problem-text", markup=False)
        yield Horizontal(id="problem-actions")

    def on_mount(self) -> None:
        self.display = False
        self._shown: tuple[str, tuple[str, ...]] = ("", ())

    def show(self, text: str, actions: tuple[str, ...]) -> None:
        """`text`: one or two sentences; "" hides the line."""
        if (text, actions) == self._shown:
            return
        self._shown = (text, actions)
        self.display = bool(text)
        self.query_one("#problem-text", Static).update(
            Content.styled(MARK, "bold $text-error") + Content(text)
        )
        start_work(self, self._offer(actions), group="problem", exclusive=True)

    async def _offer(self, actions: tuple[str, ...]) -> None:
        row = self.query_one("#problem-actions", Horizontal)
        if tuple(each.name for each in row.query(Button)) == actions:
            return
        await row.remove_children()
        await row.mount_all(Button(say(f"app.problem.{name}"), name=name, compact=True) for name in actions)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.name:
            self.post_message(self.Asked(event.button.name))
