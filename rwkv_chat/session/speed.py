"""Decode speed as it is shown, tokens per second over the reply so far; how long a reply is thought about."""

from __future__ import annotations

import time
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rwkv_chat.session.reply import Part


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


class Thinking:
    """How long a reply is thought about: from its first thought to its first word."""

    def __init__(self, before: float = 0.0) -> None:
        """`before`: of a cut reply that goes on, seconds until then."""
        self._before = before
        self._since: float | None = None
        self._until: float | None = None

    def take(self, part: Part) -> None:
        """Something came."""
        if part == "reasoning":
            self._since = self._since or monotonic()
        elif self._since is not None:
            self._until = self._until or monotonic()

    @property
    def seconds(self) -> float:
        """So far; 0 where there is no thought."""
        return self._before + ((self._until or monotonic()) - self._since if self._since else 0.0)
