"""A line or two under the prompt: what the model may misread in a message. Hidden while there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence


class LintLine(Static):
    """The first warning, and how many more there are; all of them in the tooltip."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.display = False

    def show(self, warnings: Sequence[str]) -> None:
        self.display = bool(warnings)
        if not warnings:
            return
        if len(warnings) == 1:
            line = say("app.lint.one", warning=warnings[0])
        else:
            line = say("app.lint.many", count=len(warnings), warning=warnings[0])
        self.update(Content(clean(line)))
        self.tooltip = Content(clean("\n".join(warnings)))
