"""What the model reads, to the byte: the tokens that were fed, and those that would be fed now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Static

from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.widgets.exact_view import ExactView
from rwkv_chat.tui.widgets.key_footer import KeyFooter

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session.chats import ExactPrompt


class ExactScreen(Screen[None]):
    """Over the chat; Esc goes back."""

    CSS_PATH = "exact.tcss"
    BINDINGS = textual_bindings("exact")
    AUTO_FOCUS = "#exact"

    def __init__(self, prompt: ExactPrompt) -> None:
        super().__init__()
        self.exact = prompt

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(say("app.exact.title"), classes="title", id="exact-title", markup=False)
            yield Static(self._counts(), id="exact-counts", markup=False)
            yield ExactView(id="exact")
        yield KeyFooter()

    def on_mount(self) -> None:
        view = self.query_one(ExactView)
        self.call_after_refresh(view.show, self.exact.tokens, self.exact.pieces, self.exact.new_from)

    def _counts(self) -> str:
        fed = self.exact.new_from
        return say("app.exact.counts", fed=f"{fed:,}", new=f"{len(self.exact.tokens) - fed:,}")

    def action_next_view(self) -> None:
        view = self.query_one(ExactView)
        view.show_as("tokens" if view.view == "text" else "text")

    def action_copy_text(self) -> None:
        self.app.copy_to_clipboard(b"".join(self.exact.pieces).decode("utf-8", "replace"))
        self.notify(say("app.exact.copied"), markup=False)

    def action_copy_ids(self) -> None:
        self.app.copy_to_clipboard(" ".join(map(str, self.exact.tokens)))
        self.notify(say("app.exact.copied_ids", count=f"{len(self.exact.tokens):,}"), markup=False)

    def action_close(self) -> None:
        self.dismiss(None)
