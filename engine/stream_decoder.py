"""Bytes to text as they come: whole characters only."""

from __future__ import annotations

import codecs


class StreamDecoder:
    """Decodes UTF-8 piece by piece.

    A character that is not complete yet is held back (3 bytes at most). A byte that cannot be part of any
    character becomes U+FFFD at once: nothing waits for what can never come.
    """

    def __init__(self, carry: bytes = b"") -> None:
        """`carry` holds the bytes that an earlier decoder still held back."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder.decode(carry)

    @property
    def carry(self) -> bytes:
        """The bytes held back."""
        return self._decoder.getstate()[0]

    def feed(self, data: bytes) -> str:
        """The characters that `data` completes."""
        text = self._decoder.decode(data)
        carry = self.carry
        if carry[:1] == b"\xed" and carry[1:2] >= b"\xa0":
            text += self.finish()  # half a surrogate: CPython would wait for its third byte
        return text

    def finish(self) -> str:
        """What was held back: U+FFFD if there is any, since no more is to come."""
        return self._decoder.decode(b"", final=True)
