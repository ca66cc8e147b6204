"""Which messages of a log are left out before it is trained on, and how the others are written. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

LONGEST_MESSAGE = 20_000  # characters
Media = Literal["drop", "word"]
Dropped = Literal["media", "links", "blocked", "too-long", "too-short"]
_LINK = r"(?:https?://|www\.)\S+"
_LINKS = re.compile(rf"{_LINK}(?:\s+{_LINK})*\s*")  # one way to read any text: no backtracking
_MARKS = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Filters:
    """What is left out.

    Attributes:
        fewest: messages of a conversation; those with fewer are left out.
        shortest, longest: characters of a message; shorter and longer ones are left out.
        languages: conversations in others are left out; () for none. See `importers.language`.
        blocklist: messages that hold one of these are left out, in any case.
        media: what becomes of pictures and the like: a word in their place, or nothing.
        links: messages that are nothing but addresses are kept.
        alike: from what likeness on (0 … 1) a conversation counts as said before; 0: only the same words do.
    """

    fewest: int = 2
    shortest: int = 1
    longest: int = LONGEST_MESSAGE
    languages: tuple[str, ...] = ()
    blocklist: tuple[str, ...] = ()
    media: Media = "drop"
    links: bool = False
    alike: float = 0.8

    def against(self, text: str) -> Dropped | None:
        """Why a message is left out; None: it is kept."""
        if len(text) > self.longest:
            return "too-long"
        if len(text) < self.shortest:
            return "too-short"
        if not self.links and _LINKS.fullmatch(text):
            return "links"
        if self.blocklist:
            folded = text.casefold()
            return "blocked" if any(each.casefold() in folded for each in self.blocklist) else None
        return None


def plain(text: str) -> str:
    """One form for each character (NFC), and no marks that show nothing."""
    return text if text.isascii() else _MARKS.sub("", unicodedata.normalize("NFC", text))
