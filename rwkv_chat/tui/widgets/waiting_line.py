"""One line above the prompt: the message that is sent when the reply has ended."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

LONGEST = 200


class WaitingLine(Static):
    """Hidden while nothing waits."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.display = False

    def show(self, text: str) -> None:
        self.display = bool(text)
        if text:
            head = Content.styled(f"{say('prompt.waiting')}  ", "$accent")
            self.update(head + Content(title(text, LONGEST)))
