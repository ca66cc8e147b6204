"""When a long task stops, and how often it reports."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


REPORTS_PER_SECOND = 10


class Pause:
    """A request to stop, set by one thread, that wakes another which waits: for the next attempt, or for
    bytes that do not come."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None

    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Asks to stop. Harmless any number of times."""
        self._event.set()
        with self._lock:
            if self._wake:
                self._wake()

    def wait(self, seconds: float) -> bool:
        """Waits, and says whether to stop."""
        return self._event.wait(seconds)

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """`set` calls `wake` while this is entered."""
        with self._lock:
            self._wake = wake
        try:
            if self.is_set():
                wake()
            yield
        finally:
            with self._lock:
                self._wake = None


class Ticks:
    """Says when it is time for the next report."""

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 1 / REPORTS_PER_SECOND
        return True
