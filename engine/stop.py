"""Finding stop texts in a stream of bytes, and holding back what could become one.

Bytes, not text: UTF-8 lets no text match inside another character, and token boundaries stay countable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StopFinder:
    """Releases bytes that can no longer be part of a stop text.

    Attributes:
        held: the bytes held back: the longest end of the stream that is a proper beginning of a stop text.
        found: a stop text has been completed. The one completed first counts, of those the longest.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(text.encode(errors="replace") for text in texts if text)
        self.held = b""
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """The bytes now released; after `found`, none."""
        if self.found:
            return b""
        seen = self.held + data
        found = [(at + len(text), at) for text in self._texts if (at := seen.find(text)) >= 0]
        if found:
            self.found = True
            self.held = seen[min(found)[1] :]
            return seen[: min(found)[1]]
        keep = max((_overlap(seen, text) for text in self._texts), default=0)
        self.held = seen[len(seen) - keep :]
        return seen[: len(seen) - keep]

    def release(self) -> bytes:
        """What was held back, since no more is to come."""
        data, self.held = self.held, b""
        return data


def _overlap(seen: bytes, text: bytes) -> int:
    """Length of the longest end of `seen` that is a proper beginning of `text`."""
    lengths = range(min(len(seen), len(text) - 1), 0, -1)
    return next((length for length in lengths if seen.endswith(text[:length])), 0)
