"""Wrapping runs by cell width: narrow words stay whole, wide (CJK) characters may break between one another,
and a closing punctuation mark never begins a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len

from rwkv_chat.tui.cells import chop
from rwkv_chat.tui.prose.line import Line, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
)
CLOSING = "、。，．：；？！）〕］｝〉》」』】〗’”…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_CHUNK = re.compile(rf"[ \t]*(?:[{WIDE}][{CLOSING}]*|[^ \t{WIDE}]+)|[ \t]+$")


def wrap(runs: Iterable[Run], width: int) -> list[Line]:
    """Rows of at most `width` cells. A newline in a run is a hard break; leading spaces stay."""
    lines: list[Line] = []
    for hard in _hard_lines(runs):
        plain = "".join(text for text, _ in hard)
        spans = _spans(plain, max(1, width))
        for index, (start, end) in enumerate(spans):
            joiner = "\n" if index == 0 else plain[spans[index - 1][1] : start]
            lines.append(Line(_slice(hard, start, end), joiner))
    return lines


def literal_lines(text: str, width: int) -> list[Line]:
    """A text as it was typed: wrapped, nothing interpreted."""
    return wrap([(text.expandtabs(4), ())], width)


def fold(runs: Iterable[Run], width: int) -> list[Line]:
    """One hard line cut every `width` cells, wherever that falls: for code."""
    row = list(runs)
    plain = "".join(text for text, _ in row)
    lines: list[Line] = []
    start = 0
    for piece in chop(plain, max(1, width)) or [""]:
        lines.append(Line(_slice(row, start, start + len(piece)), "" if lines else "\n"))
        start += len(piece)
    return lines


def _hard_lines(runs: Iterable[Run]) -> list[list[Run]]:
    lines: list[list[Run]] = [[]]
    for text, marks in runs:
        first, *rest = text.split("\n")
        if first:
            lines[-1].append((first, marks))
        lines += [[(part, marks)] if part else [] for part in rest]
    return lines


def _spans(plain: str, width: int) -> list[tuple[int, int]]:
    """Where each row begins and ends; the spaces between two rows belong to neither."""
    if cell_len(plain) <= width:
        return [(0, len(plain))]
    spans: list[tuple[int, int]] = []
    start, end, used = 0, 0, 0
    for begin, word, stop in _chunks(plain):
        cells = cell_len(plain[begin:stop])
        if used + cells <= width:
            end, used = stop, used + cells
            continue
        if end > start:
            spans.append((start, end))
            start = word
        end, used = stop, cell_len(plain[start:stop])
        while used > width:
            head = len(chop(plain[start:stop], width)[0])
            spans.append((start, start + head))
            start += head
            used = cell_len(plain[start:stop])
    spans.append((start, end))
    return spans


def _chunks(plain: str) -> Iterator[tuple[int, int, int]]:
    """Per word: where its leading spaces begin, where it begins, where it ends."""
    for match in _CHUNK.finditer(plain):
        piece = match.group()
        yield match.start(), match.end() - len(piece.lstrip(" \t")), match.end()


def _slice(runs: list[Run], start: int, end: int) -> tuple[Run, ...]:
    kept: list[Run] = []
    at = 0
    for text, marks in runs:
        low, high = max(start - at, 0), min(end - at, len(text))
        if low < high:
            kept.append((text[low:high], marks))
        at += len(text)
    return tuple(kept)
