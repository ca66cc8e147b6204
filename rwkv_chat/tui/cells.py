"""Text in a column of a fixed number of cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells, split_graphemes

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = re.compile(r" \(\d+\)$")  # what tells a branch from the conversation that it comes from
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")


def cell(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, cut with an ellipsis where it is longer."""
    length = cell_len(text)
    if length > width:
        head = chop(text, width - 1)[0] if width > 1 else ""
        head = head if cell_len(head) < width else ""  # one character that is wider
        return head + " " * (width - 1 - cell_len(head)) + "…" if width else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def short_title(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut where it is longer; a number at its end stays."""
    if cell_len(text) <= width:
        return text
    number = _NUMBER.search(text)
    end = number.group() if number is not None and len(number.group()) < width // 2 else ""
    return cell(text.removesuffix(end), width - len(end)) + end


def chop(text: str, width: int) -> list[str]:
    """`text` in pieces of at most `width` cells, cut between characters: Rich would cut a flag in two."""
    if not _FLAG.search(text):
        return chop_cells(text, width)
    pieces, begun, used = list[str](), 0, 0
    for start, cells in _characters(text):
        if used + cells > width and start > begun:
            pieces.append(text[begun:start])
            begun, used = start, 0
        used += cells
    return [*pieces, text[begun:]]


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """Where each begins, and its cells."""
    spans, _ = split_graphemes(text)
    at = 0
    while at < len(spans):
        start, _, cells = spans[at]
        if at + 1 < len(spans) and _FLAG.fullmatch(text, start, spans[at + 1][1]):
            at, cells = at + 1, cells + spans[at + 1][2]
        yield start, cells
        at += 1
