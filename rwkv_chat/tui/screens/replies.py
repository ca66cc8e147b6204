"""Replies beside a conversation: several at once, of which one is chosen; an answer to an aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.widgets.key_footer import KeyFooter

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from rwkv_chat.tui.turns import LiveReply

FRAME = 1 / 10  # seconds between two drawings
NARROW = 26  # cells: a narrower column is not read; the others are tabs then


class RepliesScreen(ModalScreen[int | None]):
    """Gives the number of the reply that was chosen (0 is the first); None when left.

    Drawn from the live reply at a steady pace, however fast its tokens come.
    """

    CSS_PATH = "replies.tcss"
    BINDINGS = textual_bindings("replies")

    def __init__(self, live: LiveReply, question: str, number: int = 1) -> None:
        super().__init__()
        self.live, self._question, self._number = live, question, number
        self.current = 0
        self._timer: Timer | None = None
        self._ended = False

    def compose(self) -> ComposeResult:
        yield Static(Content(clean(self._question)), id="replies-question", markup=False)
        with Horizontal(id="replies"):
            for index in range(self._number):
                with VerticalScroll(id=f"reply-{index}", classes="reply", can_focus=False):
                    yield Static(id=f"reply-name-{index}", classes="reply-name", markup=False)
                    yield Static(id=f"reply-text-{index}", markup=False)
        yield Static(id="replies-hint", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        self._timer = self.set_interval(FRAME, self.draw)
        self.draw()

    def on_resize(self) -> None:
        self.set_class(self.size.width // self._number < NARROW, "-tabs")

    @property
    def choosing(self) -> bool:
        return self._number > 1

    def draw(self) -> None:
        """What came so far; the last time when all has come. What failed is told on the screen below."""
        if self.live.failed:
            self._end(None)
            return
        for index in range(self._number):
            text = self.live.texts.get(index, "")
            self.query_one(f"#reply-text-{index}", Static).update(Content(clean(text) or "…"))
            name = say("app.replies.name", number=index + 1, of=self._number) if self.choosing else ""
            self.query_one(f"#reply-name-{index}", Static).update(Content(name))
            column = self.query_one(f"#reply-{index}", VerticalScroll)
            column.set_class(index == self.current and self.choosing, "-current")
            if not self.live.ended:
                column.scroll_end(animate=False)
        ended = "app.replies.choose" if self.choosing else "app.replies.aside"
        hint = ended if self.live.ended else "app.replies.writing"
        self.query_one("#replies-hint", Static).update(Content(say(hint)))
        if self.live.ended and self._timer is not None:
            self._timer.stop()

    # ---------------------------------------------------------------- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Where there is one answer, there is nothing to choose from."""
        return self.choosing or action not in ("choose", "move")

    def key_enter(self) -> None:
        """Read: an answer without a choice."""
        if not self.choosing:
            self.action_leave()

    def action_move(self, step: int) -> None:
        self.current = (self.current + step) % self._number
        self.draw()

    def action_number(self, number: int) -> None:
        if number <= self._number and self.choosing:
            self.current = number - 1
            self.draw()

    def action_scroll(self, pages: int) -> None:
        column = self.query_one(f"#reply-{self.current}", VerticalScroll)
        column.scroll_relative(y=pages * max(1, column.size.height - 1), animate=False)

    def action_choose(self) -> None:
        """The current one becomes the branch; what is still written is stopped."""
        self.live.stop()
        self._end(self.current)

    def action_leave(self) -> None:
        if not self.live.ended:
            self.live.stop()
        self._end(None)

    def _end(self, chosen: int | None) -> None:
        """Once: the timer may tick again before the screen is gone, and would take the one below away."""
        if self.is_current and not self._ended:
            self._ended = True
            self.dismiss(chosen)
