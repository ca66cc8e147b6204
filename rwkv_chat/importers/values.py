"""Values of files from outside, each of the kind that is asked for or nothing."""

from __future__ import annotations

from typing import Any


def text(value: object) -> str:
    """A text, or ""."""
    return value if isinstance(value, str) else ""


def fields(value: object) -> dict[str, Any]:
    """An object, or {}."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """An array, or []."""
    return value if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of an array."""
    return [each for each in items(value) if isinstance(each, dict)]


def name(value: object) -> str:
    """An id or a name that may be written as a number; at most 300 characters."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return str(value)
    return " ".join(text(value)[:300].split())
