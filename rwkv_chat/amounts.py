"""Amounts of time and of bytes per second, as people read them."""

from __future__ import annotations

from math import ceil

from rwkv_chat.explain import size
from rwkv_chat.texts import say

MINUTE, HOUR = 60, 3600


def duration(seconds: float) -> str:
    """Begun seconds in at most two units: "12 s", "3 min 5 s", "2 h 10 min"."""
    whole = max(0, ceil(seconds))
    if whole < MINUTE:
        return say("amounts.seconds", seconds=whole)
    if whole < HOUR:
        return say("amounts.minutes", minutes=whole // MINUTE, seconds=whole % MINUTE)
    return say("amounts.hours", hours=whole // HOUR, minutes=whole % HOUR // MINUTE)


def speed(bytes_per_second: float) -> str:
    """ "24 MB/s"."""
    return say("amounts.speed", size=size(bytes_per_second))
