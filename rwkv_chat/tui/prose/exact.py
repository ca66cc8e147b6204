"""The exact bytes of a prompt as rows: nothing is interpreted, and nothing stays invisible.

    newline   ↵ and a new row        tab   ⇥        other controls   ␀ … ␟ ␡
    spaces at a line's end  ␠        bytes that are no UTF-8  ‹FF›    hiding characters  ‹U+202E›
    a token that has no bytes  ‹0›

These marks stand for nothing else: one that a text has itself is written out (↵ as ‹U+21B5›). Of a single
token every space is shown, as ·.

No Textual here, and nothing but slicing per row: a prompt may have a hundred thousand tokens.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from rwkv_chat.plain_text import clean
from rwkv_chat.tui.cells import chop

if TYPE_CHECKING:
    from collections.abc import Sequence

NEWLINE, TAB, SPACE, TOKEN_SPACE = "↵", "⇥", "\u2420", "·"
MARKS = re.compile(rf"[{NEWLINE}{TAB}\u2400-\u2421]|‹[^‹›]*›")
TOKEN_MARKS = re.compile(rf"{TOKEN_SPACE}|{MARKS.pattern}")
_ODD = re.compile(rf"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff{NEWLINE}{TAB}‹\u2400-\u2421]")
_TRAILING = re.compile(r" +(?=\n|$)")


@dataclass(frozen=True, slots=True)
class ExactRow:
    """One row: its text, and whether it was fed already. `text` None is the border between both."""

    text: str | None
    fed: bool = False


def visible(data: bytes) -> str:
    """Bytes as text in which every character can be seen, and no mark stands for itself; only newlines stay
    as they are.
    """
    text = data.decode("utf-8", "surrogateescape")
    text = _TRAILING.sub(lambda found: SPACE * len(found[0]), _ODD.sub(_shown, text))
    return clean(text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x09:
        return TAB
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"‹{code - 0xDC00:02X}›" if code >= 0xDC80 else f"‹U+{code:04X}›"


def token_text(token: int, piece: bytes) -> str:
    """One token on one row."""
    if not piece:
        return f"‹{token}›"
    text = visible(piece).replace(TOKEN_SPACE, f"‹U+{ord(TOKEN_SPACE):04X}›")
    return text.replace("\n", NEWLINE).replace(" ", TOKEN_SPACE).replace(SPACE, TOKEN_SPACE)


def exact_rows(tokens: Sequence[int], pieces: Sequence[bytes], new_from: int, width: int) -> list[ExactRow]:
    """The text of all tokens in rows of at most `width` cells; the border stands before `new_from` where
    something was fed and something is new.
    """
    fed = [ExactRow(row, fed=True) for row in _rows(tokens[:new_from], pieces[:new_from], width)]
    new = [ExactRow(row) for row in _rows(tokens[new_from:], pieces[new_from:], width)]
    return [*fed, ExactRow(None), *new] if fed and new else fed + new


def _rows(tokens: Sequence[int], pieces: Sequence[bytes], width: int) -> list[str]:
    text = _text(tokens, pieces)
    lines = text.split("\n")
    ends = [NEWLINE] * (len(lines) - 1) + [""]
    rows = [row for line, end in zip(lines, ends, strict=True) for row in _cut(line + end, width)]
    return rows[:-1] if not rows[-1] else rows


def _text(tokens: Sequence[int], pieces: Sequence[bytes]) -> str:
    """Bytes that follow one another are read together: a character may be in two tokens."""
    shown: list[str] = []
    pairs = zip(tokens, pieces, strict=True)
    for has_bytes, run in itertools.groupby(pairs, key=lambda pair: bool(pair[1])):
        if has_bytes:
            shown.append(visible(b"".join(piece for _, piece in run)))
        else:
            shown += [f"‹{token}›" for token, _ in run]
    return "".join(shown)


def _cut(line: str, width: int) -> list[str]:
    """Rows of one line, cut wherever the width ends."""
    body, end = (line[:-1], NEWLINE) if line.endswith(NEWLINE) else (line, "")
    if body.isascii():
        rows = [body[at : at + width] for at in range(0, len(body), width)] or [""]
    else:
        rows = chop(body, width) or [""]
    if end and cell_len(rows[-1]) >= width:
        return [*rows, end]
    return [*rows[:-1], rows[-1] + end]
