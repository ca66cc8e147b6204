"""Decode speed as it is shown: tokens per second over the reply so far."""

from __future__ import annotations

import time


class Speedometer:
    """Counts from the first piece on, so that reading the prompt is not in it."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def tick(self, tokens: int) -> float:
        """Tokens per second now that `tokens` are there; 0 for the first piece."""
        now = time.monotonic()
        if self._start is None:
            self._start = now, tokens
            return 0.0
        since, first = self._start
        return (tokens - first) / (now - since) if now > since else 0.0
