"""The text of one reply as it is drawn: which bytes may be shown, and which tokens belong to the chain."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.stop import StopFinder
from engine.stream_decoder import StreamDecoder

if TYPE_CHECKING:
    from engine.tokenizer import Tokenizer
    from engine.types import TokenIds


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left of a reply at its end.

    Attributes:
        text: the last text released.
        kept: how many of the drawn tokens belong to the chain.
        extra: ids of the bytes kept of the token after them, if a cut fell inside it.
        carry: bytes of an incomplete last character, if the reply can go on.
    """

    text: str
    kept: int
    extra: TokenIds = ()
    carry: bytes = b""


class ReplyText:
    """Tokens in, text out.

    Attributes:
        tokens: every token drawn.
        whole: how many of them have their text released whole; no ending gives these up.
        stopped: a stop text is complete.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop_texts: tuple[str, ...], carry: bytes, before: bytes = b""
    ) -> None:
        """Of a reply that goes on: `carry` holds the bytes of an incomplete character before the first token,
        `before` is the end of all its bytes.
        """
        self.tokens: list[int] = []
        self.whole = 0
        self._tokenizer = tokenizer
        self._start_carry = carry
        self._decoder = StreamDecoder(carry)
        self._finder = StopFinder(stop_texts, before)
        self._data = bytearray()  # bytes of `tokens`
        self._ends: list[int] = []  # where each token's bytes end
        self._released = 0  # bytes given to the decoder

    @property
    def stopped(self) -> bool:
        return self._finder.found

    def add(self, token: int) -> str:
        """The text that one more token releases."""
        data = self._tokenizer.token_bytes(token)
        self.tokens.append(token)
        self._data += data
        self._ends.append(len(self._data))
        return self._release(self._finder.feed(data))

    def _release(self, data: bytes) -> str:
        self._released += len(data)
        text = self._decoder.feed(data)
        self.whole = bisect_right(self._ends, self._shown)
        return text

    @property
    def _shown(self) -> int:
        """Bytes whose text has been released; below 0 while a carry waits."""
        return self._released - len(self._decoder.carry)

    def end_here(self, *, final: bool) -> Ending:
        """Ends with every token drawn; `final` if the reply will not go on."""
        text = self._release(self._finder.release())
        carry = b"" if final else self._decoder.carry
        text += self._decoder.finish()
        self.whole = len(self.tokens)
        return Ending(text, self.whole, (), carry)

    def end_before_stop_text(self) -> Ending:
        """Ends where the stop text begins."""
        text = self._decoder.finish()
        return self._cut(text, self._released, b"")

    def end_at_shown(self) -> Ending:
        """Ends with exactly what has been released."""
        carry = self._start_carry if self._shown < 0 else b""
        return self._cut("", max(self._shown, 0), carry)

    def _cut(self, text: str, at: int, carry: bytes) -> Ending:
        self.whole = bisect_right(self._ends, at)
        begun = self._ends[self.whole - 1] if self.whole else 0
        extra = bytes(self._data[begun:at])
        return Ending(text, self.whole, self._tokenizer.encode_bytes(extra) if extra else (), carry)
