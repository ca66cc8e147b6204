"""Long texts in the prompt, folded: a few words in brackets stand for them until the message is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable

LINES, CHARACTERS = 12, 2_000  # a text with more than either is folded when it is pasted


def is_long(text: str) -> bool:
    return text.count("\n") >= LINES or len(text) > CHARACTERS


def pasted_words(text: str) -> str:
    """What a pasted text is called while it is folded, without brackets."""
    lines = len(text.splitlines())
    if lines > 1:
        return say("prompt.fold.pasted", lines=f"{lines:,}")
    return say("prompt.fold.pasted_line", characters=f"{len(text):,}")


class Folds:
    """By the mark that stands in the box, the text that it stands for."""

    def __init__(self, folded: Iterable[tuple[str, str]] = ()) -> None:
        self._texts = dict(folded)

    def add(self, words: str, text: str) -> str:
        """A new mark, unlike all others."""
        mark, number = f"[{words}]", 2
        while self._texts.get(mark, text) != text:
            mark, number = f"[{words} #{number}]", number + 1
        self._texts[mark] = text
        return mark

    def used(self, text: str) -> tuple[tuple[str, str], ...]:
        """The marks that stand in a text, with what they stand for."""
        return tuple((mark, whole) for mark, whole in self._texts.items() if mark in text)

    def written(self, text: str) -> str:
        """A text with every mark replaced, once: what was folded is not looked through."""
        if not self._texts:
            return text
        return self._pattern().sub(lambda found: self._texts[found[0]], text)

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where marks stand in a line."""
        if not self._texts:
            return []
        return [found.span() for found in self._pattern().finditer(line)]

    def text(self, mark: str) -> str:
        return self._texts[mark]

    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._texts, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)))
