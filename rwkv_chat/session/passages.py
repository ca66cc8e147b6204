"""A long text in passages: parts of a few thousand characters that end where a paragraph, a line or a
sentence does. Joined, they are the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH, SHORTEST = 3000, 1500  # characters
# where a passage may end, the best first
_ENDS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n"),
    re.compile(r"[.!?。！？…][\"'”’」』）)]*\s*"),
    re.compile(r"\s"),
)


def passages(text: str, length: int = LENGTH, shortest: int = SHORTEST) -> Iterator[str]:
    """The text in order, each part at most `length` characters long."""
    at = 0
    while len(text) - at > length:
        end = _end(text, at + shortest, at + length)
        yield text[at:end]
        at = end
    if at < len(text):
        yield text[at:]


def _end(text: str, first: int, last: int) -> int:
    """The last good place to end between `first` and `last`; `last` where there is none."""
    for pattern in _ENDS:
        ends = [each.end() for each in pattern.finditer(text, first, last)]
        if ends:
            return ends[-1]
    return last
