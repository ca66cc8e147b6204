"""What a person searches for: every part of it must be in a message.

A part is a word (its end may be missing), or a phrase in quotation marks. Characters of scripts without
spaces are a phrase of their own: 模型 is found wherever these two follow one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library.fold import fold, is_word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST = 2_000  # characters of a query that are read
MOST_PARTS = 24
SHORTEST_PREFIX = 2  # a single letter is a word of its own
_PARTS = re.compile(r'"([^"]*)"?|([^\s"]+)')


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens that follow one another; with `open`, the last one may go on."""

    tokens: tuple[str, ...]
    open: bool = False

    def find(self, tokens: Sequence[str], start: int = 0) -> int | None:
        """Where the part begins in a text's tokens; None where it does not occur from `start` on."""
        last = len(tokens) - len(self.tokens)
        return next((at for at in range(start, last + 1) if self._fits(tokens, at)), None)

    def _fits(self, tokens: Sequence[str], at: int) -> bool:
        *whole, end = self.tokens
        if any(tokens[at + place] != each for place, each in enumerate(whole)):
            return False
        found = tokens[at + len(whole)]
        return found.startswith(end) if self.open else found == end


def parts(query: str) -> tuple[Part, ...]:
    """The parts of a query; none where it has nothing that could be found."""
    return tuple(_parts(query[:LONGEST]))[:MOST_PARTS]


def _parts(query: str) -> Iterator[Part]:
    for quoted, word in _PARTS.findall(query.replace("“", '"').replace("”", '"')):
        if found := tuple(fold(quoted or word).split()):
            last = found[-1]
            yield Part(found, not quoted and is_word(last) and len(last) >= SHORTEST_PREFIX)


def matches(tokens: Sequence[str], query: Sequence[Part]) -> bool:
    """Whether a text has every part, by looking at each of its tokens: the plain twin of the index."""
    return all(part.find(tokens) is not None for part in query)


def expression(query: Sequence[Part], marks: Sequence[Sequence[str]] = ()) -> str:
    """The query in FTS5's language; tokens hold nothing that FTS5 could misread.

    Args:
        marks: of each of these, a message must have one.
    """
    wanted = [f'text : "{" ".join(each.tokens)}"{" *" if each.open else ""}' for each in query]
    allowed = ["(" + " OR ".join(f'marks : "{mark}"' for mark in each) + ")" for each in marks]
    return " AND ".join((*wanted, *allowed))
