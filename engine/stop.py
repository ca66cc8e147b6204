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

    def __init__(self, texts: Iterable[str], before: bytes = b"") -> None:
        """`before`: the end of what was released before a cut; a stop text may have begun in it."""
        self._texts = tuple(text.encode(errors="replace") for text in texts if text)
        self.held = before[len(before) - self._begun(before) :]
        self.found = False
        self._known = len(self.held)  # bytes of `held` that were released before the cut

    def feed(self, data: bytes) -> bytes:
        """The bytes now released; after `found`, none."""
        if self.found:
            return b""
        seen = self.held + data
        found = [(at + len(text), at) for text in self._texts if (at := seen.find(text)) >= 0]
        if found:
            self.found = True
            self.held = seen[min(found)[1] :]
            return self._new(seen[: min(found)[1]])
        keep = self._begun(seen)
        self.held = seen[len(seen) - keep :]
        return self._new(seen[: len(seen) - keep])

    def release(self) -> bytes:
        """What was held back, since no more is to come."""
        data, self.held = self.held, b""
        return self._new(data)

    def _new(self, data: bytes) -> bytes:
        """`data`, which follows what was released, without what was released before the cut."""
        known, self._known = self._known, max(0, self._known - len(data))
        return data[known:]

    def _begun(self, seen: bytes) -> int:
        """Length of the longest end of `seen` that is a proper beginning of a stop text."""
        return max((_overlap(seen, text) for text in self._texts), default=0)


def _overlap(seen: bytes, text: bytes) -> int:
    """Length of the longest end of `seen` that is a proper beginning of `text`."""
    lengths = range(min(len(seen), len(text) - 1), 0, -1)
    return next((length for length in lengths if seen.endswith(text[:length])), 0)
