"""When something was, as people read it."""

from __future__ import annotations

import time


def date_of(seconds: float) -> str:
    """Local time, to the minute; a question mark for what no calendar has."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "?"
