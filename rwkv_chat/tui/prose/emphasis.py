"""Emphasis beside Chinese, Japanese and Korean text.

CommonMark opens and closes emphasis by looking at spaces and punctuation around the asterisks. These scripts
write no spaces, so `**重点：**内容` would stay literal. Here a wide neighbour counts as a word boundary.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline.state_inline import Delimiter

from rwkv_chat.tui.prose.wrap import WIDE

if TYPE_CHECKING:
    from markdown_it.rules_inline import StateInline

_WIDE = re.compile(f"[{WIDE}]")


def tokenize(state: StateInline, silent: bool) -> bool:
    """The inline rule: each marker becomes a text token and a delimiter that may open or close."""
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    count, can_open, can_close = _flanks(state, marker)
    for _ in range(count):
        token = state.push("text", "", 0)
        token.content = marker
        state.delimiters.append(Delimiter(ord(marker), count, len(state.tokens) - 1, -1, can_open, can_close))
    state.pos += count
    return True


def _flanks(state: StateInline, marker: str) -> tuple[int, bool, bool]:
    """How many markers stand here, and whether they can open and close."""
    end = state.pos
    while end < state.posMax and state.src[end] == marker:
        end += 1
    before = state.src[state.pos - 1] if state.pos else " "
    after = state.src[end] if end < state.posMax else " "
    left = not _blank(after) and (not _punctuation(after) or _boundary(before))
    right = not _blank(before) and (not _punctuation(before) or _boundary(after))
    if marker == "*":
        return end - state.pos, left, right
    opens = left and (not right or _punctuation(before))
    closes = right and (not left or _punctuation(after))
    return end - state.pos, opens, closes


def _boundary(char: str) -> bool:
    return _blank(char) or _punctuation(char) or bool(_WIDE.match(char))


def _blank(char: str) -> bool:
    return isWhiteSpace(ord(char))


def _punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)
