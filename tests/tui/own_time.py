"""A clock that stands still while other programs hold the processors."""

from __future__ import annotations

import time
from pathlib import Path

SCHEDSTAT = Path("/proc/thread-self/schedstat")  # nanoseconds run and waited for a processor, time slices


def own_time() -> float:
    """Seconds, less those in which this thread could have run and waited for a processor.

    Tests run beside one another: what the others take is not how long a program keeps one waiting. A system
    that does not tell (all but Linux) counts that time, too.
    """
    return time.perf_counter() - _waited()


def _waited() -> float:
    try:
        return int(SCHEDSTAT.read_bytes().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
