"""Two texts side by side. Apart from `cells.py`: what wraps them is not there at the first frame."""

from __future__ import annotations

from itertools import zip_longest

from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.prose.wrap import wrap


def columns(left: str, right: str, first: int, second: int) -> list[tuple[str, str]]:
    """Their lines, each wrapped in as many cells; those at the left are filled up."""
    ones, others = _lines(left, first), _lines(right, second)
    return [(cell(one, first), other) for one, other in zip_longest(ones, others, fillvalue="")]


def _lines(text: str, width: int) -> list[str]:
    return [line.text for line in wrap([(text, ())], width)]
