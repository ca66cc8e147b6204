"""Keys and what they do, in two columns that fit the width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.prose.wrap import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = 24  # cells, at most


@dataclass(frozen=True, slots=True)
class KeyRow:
    """Keys as people read them, and what they do."""

    keys: str
    text: str


class KeyTable(Static):
    """One row for each key; what is long goes on under itself."""

    def __init__(self, rows: Sequence[KeyRow]) -> None:
        super().__init__()
        self.rows = tuple(rows)

    def on_resize(self) -> None:
        self.update(Content("\n").join(_row(each, self.content_size.width) for each in self.rows))


def _row(row: KeyRow, width: int) -> Content:
    keys = min(KEYS, width * 2 // 5)
    left = _lines(row.keys, keys)
    right = _lines(row.text, max(8, width - keys - 1))
    number = max(len(left), len(right))
    left += [""] * (number - len(left))
    right += [""] * (number - len(right))
    lines = [
        Content.styled(cell(one, keys), "$accent") + Content(f" {other}")
        for one, other in zip(left, right, strict=True)
    ]
    return Content("\n").join(lines)


def _lines(text: str, width: int) -> list[str]:
    return [line.text for line in wrap([(text, ())], width)]
