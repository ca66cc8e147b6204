"""Text in a column of a fixed number of cells."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

_NUMBER = re.compile(r" \(\d+\)$")  # what tells a branch from the conversation that it comes from


def cell(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, cut with an ellipsis where it is longer."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def short_title(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut where it is longer; a number at its end stays."""
    if cell_len(text) <= width:
        return text
    number = _NUMBER.search(text)
    end = number.group() if number is not None and len(number.group()) < width // 2 else ""
    return cell(text.removesuffix(end), width - len(end)) + end
