"""Columns of text, as wide as what stands in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.cli.output import result
from rwkv_chat.session.titles import width
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its heading stands in the catalogue under `models.column.<name>`."""

    name: str
    right: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A heading and the rows, indented."""
    _print([[say(f"models.column.{each.name}") for each in columns], *rows], [each.right for each in columns])


def print_columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns of numbers: all at the right."""
    _print([headings, *rows], [True] * len(headings))


def padded(text: str, cells: int) -> str:
    """`text` with spaces up to so many cells."""
    return text + " " * (cells - width(text))


def _print(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(width(line[at]) for line in lines) for at in range(len(right))]
    for line in lines:
        cells = [_cell(*each) for each in zip(line, widths, right, strict=True)]
        result(f"  {'  '.join(cells)}".rstrip())


def _cell(text: str, wide: int, right: bool) -> str:
    gap = " " * (wide - width(text))
    return gap + text if right else text + gap
