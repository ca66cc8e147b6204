"""What was sent before, called back into the prompt one by one. No Textual here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Recall:
    """A place in a list of texts, the newest first; what stood in the box comes back after the newest."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._kept: frozenset[str] = frozenset()  # of them, those that were on the disk when it was read
        self._place = -1  # -1: nothing is called back
        self._typed = ""

    def fill(self, texts: Iterable[str]) -> None:
        """Texts that are on the disk, newest first, behind those of this run. One that was there and is not
        any more was erased, or is too old.
        """
        there = tuple(texts)
        gone = self._kept.difference(there)
        self._kept = frozenset(there)
        self._put(each for each in (*self._texts, *there) if each not in gone)

    def only(self, texts: Iterable[str]) -> None:
        """Something was erased: nothing is called back but what is on the disk."""
        there = tuple(texts)
        self._kept = frozenset(there)
        self._put(there)

    def _put(self, texts: Iterable[str]) -> None:
        """What is called back just now counts as typed, unless it stays."""
        shown = self._texts[self._place] if self._place >= 0 else None
        self._texts = list(dict.fromkeys(texts))
        self._place = self._texts.index(shown) if shown is not None and shown in self._texts else -1

    def add(self, text: str) -> None:
        """A text was sent."""
        self._texts = list(dict.fromkeys((text, *self._texts)))
        self.end()

    def end(self) -> None:
        """What stands in the box is nothing that was called back."""
        self._place = -1

    def older(self, shown: str) -> str | None:
        """The text before the one that is `shown`; None where there is none."""
        self._look(shown)
        if self._place + 1 >= len(self._texts):
            return None
        if self._place < 0:
            self._typed = shown
        self._place += 1
        return self._texts[self._place]

    def newer(self, shown: str) -> str | None:
        """The text after the one that is `shown`, what was typed after the newest; None without either."""
        self._look(shown)
        if self._place < 0:
            return None
        self._place -= 1
        return self._texts[self._place] if self._place >= 0 else self._typed

    def _look(self, shown: str) -> None:
        """A text that was changed since is typed anew."""
        if self._place >= 0 and self._texts[self._place] != shown:
            self.end()
