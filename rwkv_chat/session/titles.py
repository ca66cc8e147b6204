"""A conversation's title, from its first message."""

from __future__ import annotations

import unicodedata

TITLE_CELLS = 60
ELLIPSIS = "..."


def title_from(text: str, cells: int = TITLE_CELLS) -> str:
    """The first line that shows anything, without control characters, at most `cells` wide."""
    lines = (_printable(line) for line in text.splitlines())
    line = next((each for each in lines if each), "")
    return line if width(line) <= cells else _cut(line, cells - len(ELLIPSIS)).rstrip() + ELLIPSIS


def width(text: str) -> int:
    """Terminal cells: two for East Asian wide characters, none for combining marks."""
    return sum(_cells(each) for each in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _printable(line: str) -> str:
    kept = (" " if each.isspace() else each for each in line if each == "\t" or not _control(each))
    return " ".join("".join(kept).split())


def _control(character: str) -> bool:
    """C0, C1, surrogates and the marks that turn the direction of text."""
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or "\u202a" <= character <= "\u202e"
        or ("\u2066" <= character <= "\u2069")
    )


def _cut(text: str, cells: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += _cells(character)
        if used > cells:
            return text[:place]
    return text
