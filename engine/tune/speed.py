"""How fast the last steps went."""

from __future__ import annotations

import time
from collections import deque

_STEPS = 20


class Speed:
    """Seconds of the last steps alone, without what is between them."""

    def __init__(self) -> None:
        self._began = 0.0
        self._last: deque[float] = deque(maxlen=_STEPS)

    def begin(self) -> None:
        self._began = time.perf_counter()

    def end(self, tokens: int) -> float:
        """Of the step that began; its tokens per second."""
        self._last.append(max(time.perf_counter() - self._began, 1e-9))
        return tokens / self._last[-1]

    def seconds_for(self, steps: int) -> float:
        """So many steps at that speed."""
        return steps * sum(self._last) / max(1, len(self._last))
