"""The text of a file of unknown encoding, piece by piece: lines end at a newline and nowhere else."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20  # bytes
LONGEST_LINE = 1 << 25  # characters

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SPOILT = 0.2  # of what is not ASCII may be broken in a file that is UTF-8 all the same
_KANA = 0.15  # of what is not ASCII in Japanese text, at the least

_PAIRED = 1.6  # bytes above ASCII for each character of Chinese text, at the least
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


def encoding_of(head: bytes) -> str | None:
    """The encoding of a file that begins with `head`; None where it is no text."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if not head.strip(b"\0"):
        return None
    if b"\0" in head:
        return _wide(head)
    if _as_utf8(head) <= _SPOILT:
        return "utf-8"
    return _asian(head) or "cp1252"


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark: every second byte of what is ASCII is zero."""
    odd, even = head[1::2].count(0), head[0::2].count(0)
    if max(odd, even) < len(head) / 8 or min(odd, even) > max(odd, even) / 8:
        return None
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = _strict(head, name)
    return None if text is None or _CONTROLS.search(text) else name


def _as_utf8(head: bytes) -> float:
    """How much of what is not ASCII would be broken."""
    try:
        # a character may be cut at the end of the head: this decoder waits for its rest
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = head.decode("utf-8", "replace")
        beyond = sum(each > "\x7f" for each in text)
        return text.count("\ufffd") / beyond
    return 0.0


def _asian(head: bytes) -> str | None:
    """Shift-JIS where it reads as Japanese, else GB18030 where that can be read at all."""
    japanese = _strict(head, "cp932")
    if japanese is not None:
        beyond = [each for each in japanese if each > "\x7f"]
        kana = sum("\u3041" <= each <= "\u30ff" for each in beyond)
        if kana >= _KANA * len(beyond):
            return "cp932"
    chinese = _strict(head, "gb18030")
    if chinese is None:
        return None
    # letters with accents among others can be read as Chinese too: one byte above ASCII for each
    pairs = sum(each > 0x7F for each in head) / max(sum(each > "\x7f" for each in chinese), 1)
    return "gb18030" if pairs >= _PAIRED else None


def _strict(head: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None


class Text:
    """A file's text in order; what cannot be read becomes U+FFFD."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._ended = file, False
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._begun = False
        self.too_long = 0  # lines that were left out

    def piece(self) -> str:
        """The next piece, "" at the end."""
        while not self._ended:
            read = self._file.read(PIECE)
            self._ended = not read
            text = self._decoder.decode(read, final=self._ended)
            if text and not self._begun:
                self._begun, text = True, text.removeprefix("\ufeff")
            if text:
                return text
        return ""

    def lines(self) -> Iterator[str]:
        """Each without its line end; one of more than `LONGEST_LINE` characters is left out."""
        tail: list[str] = []
        length, dropped = 0, False
        while piece := self.piece():
            first, *others = piece.split("\n")
            tail.append(first)
            length += len(first)
            if length > LONGEST_LINE:
                tail, dropped = [], True
            for each in others:
                yield from self._whole(tail, dropped)
                tail, length, dropped = [each], len(each), False
        if length:
            yield from self._whole(tail, dropped)

    def _whole(self, tail: list[str], dropped: bool) -> Iterator[str]:
        if dropped:
            self.too_long += 1
        else:
            yield "".join(tail).removesuffix("\r")
