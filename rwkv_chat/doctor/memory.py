"""Main memory: total, and what programs could still take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import size
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.paths import Paths

LITTLE = 1_000_000_000
MEMINFO = Path("/proc/meminfo")


def check(_: Paths, __: Path | None) -> Iterator[Finding]:
    total, free = total_bytes(), available_bytes()
    if total is None:
        yield Finding.of("memory", say("doctor.value.unknown"))
        return
    value = say("doctor.value.of", part=size(free), whole=size(total)) if free is not None else size(total)
    yield Finding.unless(free is None or free >= LITTLE, "memory", value, "little_memory")


def total_bytes() -> int | None:
    """Bytes of main memory; None where the system does not say."""
    return _meminfo("MemTotal") or _sysconf("SC_PHYS_PAGES")


def available_bytes() -> int | None:
    """Bytes that programs could still take; None where the system does not say."""
    return _meminfo("MemAvailable") or _sysconf("SC_AVPHYS_PAGES")


def _meminfo(name: str, file: Path = MEMINFO) -> int | None:
    """A row of Linux's table, which counts in kibibytes."""
    try:
        rows = (line.split() for line in file.read_text().splitlines())
        return next((int(row[1]) * 1024 for row in rows if row and row[0] == f"{name}:"), None)
    except (OSError, ValueError, IndexError):
        return None


def _sysconf(pages: str) -> int | None:
    try:
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows; a name that this system lacks
        return None
