"""Text in a column of a fixed number of cells."""

from __future__ import annotations

import re
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size

from rwkv_chat.tui.prose.wrap import wrap

_NUMBER = re.compile(r" \(\d+\)$")  # what tells a branch from the conversation that it comes from


def cell(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, cut with an ellipsis where it is longer."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def columns(left: str, right: str, first: int, second: int) -> list[tuple[str, str]]:
    """The lines of two texts side by side, each wrapped in as many cells; those at the left are filled up."""
    ones, others = _lines(left, first), _lines(right, second)
    return [(cell(one, first), other) for one, other in zip_longest(ones, others, fillvalue="")]


def _lines(text: str, width: int) -> list[str]:
    return [line.text for line in wrap([(text, ())], width)]


def short_title(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut where it is longer; a number at its end stays."""
    if cell_len(text) <= width:
        return text
    number = _NUMBER.search(text)
    end = number.group() if number is not None and len(number.group()) < width // 2 else ""
    return cell(text.removesuffix(end), width - len(end)) + end
