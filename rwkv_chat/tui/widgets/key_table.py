"""Keys and what they do, in two columns that fit the width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.tui.columns import columns

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
    lines = columns(row.keys, row.text, keys, max(8, width - keys - 1))
    return Content("\n").join(Content.styled(one, "$accent") + Content(f" {other}") for one, other in lines)
