"""Text as it is searched: letters without case, accents and widths, one token per character where a script
writes no spaces, one per word elsewhere, one per mark (punctuation, symbol, emoji).

`fold` gives the tokens with spaces between them, as the index stores them: FTS5's `ascii` tokenizer cuts at
ASCII spaces and punctuation only, so ASCII marks are stored as characters of private use. Nothing here
depends on where a text was cut into lines.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIVATE = 0xE000  # ASCII marks are moved here
# Blocks whose scripts write no spaces between words: first and last code point.
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai and Lao, Myanmar, Khmer
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3040, 0x312F), (0x31A0, 0x31BF)),
    *((0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xF900, 0xFAFF)),
    *((0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF)),
)
# Accents, which stand on the letter before; and what chooses between pictures of one character.
_ACCENTS = ((0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F))


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it stands: `start` to `end` in the text (after NFC)."""

    text: str
    start: int
    end: int


class _Table(dict[int, str]):
    """Code point → what is stored of it; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _stored(chr(code))
        return found


_TABLE = _Table()


def fold(text: str) -> str:
    """The tokens of a text in their order, one space between two."""
    return " ".join(normal(text).translate(_TABLE).split())


def tokens(text: str) -> Iterator[Token]:
    """The same tokens with their places in `normal(text)`: the plain twin of `fold`."""
    word, start, end = "", 0, 0
    for place, character in enumerate(normal(text)):
        stored = _TABLE[ord(character)]
        for each in stored:
            if each != " ":
                start, word = (start if word else place), word + each
                end = place + 1
            elif word:
                yield Token(word, start, end)
                word = ""
        end = place + 1 if not stored else end  # an accent belongs to its letter
    if word:
        yield Token(word, start, end)


def normal(text: str) -> str:
    """The text in NFC: places of tokens and snippets refer to this form."""
    return unicodedata.normalize("NFC", text)


def is_word(token: str) -> bool:
    """Whether a token is a word, which may go on; False for a character that stands alone."""
    return not _alone(token[-1])


def _stored(character: str) -> str:
    if _within(ord(character), _ACCENTS) or unicodedata.category(character) == "Cf":
        return ""
    apart = unicodedata.normalize("NFKD", character.casefold())
    kept = "".join(each for each in apart if not _within(ord(each), _ACCENTS))
    return "".join(_placed(each) for each in unicodedata.normalize("NFC", kept).casefold())


def _placed(character: str) -> str:
    if character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        return " "
    if not _alone(character):
        return character
    return f" {chr(_PRIVATE + ord(character)) if character.isascii() else character} "


def _alone(character: str) -> bool:
    return unicodedata.category(character)[0] not in "LNM" or _within(ord(character), _UNSPACED)


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)
