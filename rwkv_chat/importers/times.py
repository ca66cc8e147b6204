"""Moments as chat logs write them; seconds since the epoch, UTC."""

from __future__ import annotations

import math
import re
from datetime import datetime

SECONDS, MILLISECONDS = 1e11, 1e14  # numbers below are seconds; below are milliseconds; above: microseconds
LATEST = 253_402_300_799.0  # the end of the year 9999

_WRITTEN = (
    "%B %d, %Y %I:%M%p",  # June 19, 2023 2:20pm
    "%Y-%m-%d@%Hh%Mm%Ss",  # 2024-10-4@12h34m56s
    "%Y-%m-%d @%Hh %Mm %Ss",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %I:%M %p",
)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?")
_MILLIS = re.compile(r"\s*\d{1,3}ms$")


def moment(value: object) -> float | None:
    """A number of seconds, milliseconds or microseconds, or text; None for anything else.

    Text without a zone is local time of this machine.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str) and len(value) <= 64:
        text = value.strip()
        return _number(float(text)) if _NUMBER.fullmatch(text) else _text(text)
    return None


def _number(value: float) -> float | None:
    try:
        value = float(value)
    except OverflowError:
        return None
    if not math.isfinite(value) or value <= 0:
        return None
    if value >= SECONDS:
        value /= 1e3 if value < MILLISECONDS else 1e6
    return value if value <= LATEST else None


def _text(text: str) -> float | None:
    try:
        return stamp(datetime.fromisoformat(text))
    except ValueError:
        pass
    text = _MILLIS.sub("", text)
    for form in _WRITTEN:
        try:
            return stamp(datetime.strptime(text, form))  # noqa: DTZ007  its zone is this machine's
        except ValueError:
            continue
    return None


def stamp(when: datetime) -> float | None:
    """Seconds of a date; without a zone it is this machine's."""
    try:
        seconds = when.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if 0 < seconds <= LATEST else None


def local(year: int, month: int, day: int, hour: int, minute: int, second: int = 0) -> float | None:
    """A date on this machine's clock; None for one that is not in the calendar."""
    try:
        return stamp(datetime(year, month, day, hour, minute, second))  # noqa: DTZ001  logs tell the clock on the wall
    except ValueError:
        return None
