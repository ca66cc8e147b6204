"""Texts in lines of so many terminal cells: words stay whole, and a line may end after a Chinese or Japanese
character, but for one before a mark that closes something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rwkv_chat.session.titles import width

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE = "\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
OPENING, CLOSING = (
    "「『（［｛〈《【“‘",
    "、。，．：；？！）］｝〉》」』】”’…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ",
)
_PIECE = re.compile(rf"[{OPENING}]*(?:[{WIDE}]|[^\s{WIDE}{OPENING}]+)[{CLOSING}]*|\s+|[{OPENING}]")
AS_IT_STANDS = "\b"  # click's mark before lines that are not to be wrapped


def wrapped(text: str, cells: int) -> list[str]:
    """Lines of at most `cells`; a longer word has its own."""
    lines, used = [""], 0
    for piece in _PIECE.findall(text):
        if used + width(piece.rstrip()) > cells and lines[-1].strip():
            lines[-1] = lines[-1].rstrip()
            lines.append("")
            used = 0
        if used or not piece.isspace():
            lines[-1] += piece
            used += width(piece)
    lines[-1] = lines[-1].rstrip()
    return lines


def paragraphs(text: str, cells: int) -> Iterator[list[str]]:
    """The lines of each paragraph; those after a line with `AS_IT_STANDS` stay."""
    for each in re.split(r"\n[ \t]*\n", text.strip("\n")):
        first, _, rest = each.partition("\n")
        if first.strip() == AS_IT_STANDS:
            yield rest.splitlines()
        else:
            yield wrapped(" ".join(each.split()), cells)
