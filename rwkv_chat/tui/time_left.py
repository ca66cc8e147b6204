"""How long something that grows steadily will still take."""

from __future__ import annotations

from time import monotonic

SOONEST = 1.0  # seconds after which anything can be said


class TimeLeft:
    """From the pace since the first look."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._first = 0

    def take(self, done: int, total: int) -> float | None:
        """Seconds; None while nothing can be said."""
        now = monotonic()
        if self._began is None:
            self._began, self._first = now, done
        elapsed, grown = now - self._began, done - self._first
        if elapsed < SOONEST or grown <= 0:
            return None
        return max(0.0, (total - done) * elapsed / grown)
