"""Main memory: total, and what programs could still take, a container's limit included."""

from __future__ import annotations

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
GROUPS = Path("/sys/fs/cgroup")
OUR_GROUP = Path("/proc/self/cgroup")

# limit, usage, and the rows of memory.stat that can be given back at any time; cgroup v2, then v1
_V2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))
_V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)


def total_bytes() -> int | None:
    """Bytes of main memory; None where the system does not say."""
    return _meminfo("MemTotal") or _sysconf("SC_PHYS_PAGES")


def available_bytes() -> int | None:
    """Bytes that this program could still take; None where the system does not say."""
    machine = _meminfo("MemAvailable") or _sysconf("SC_AVPHYS_PAGES")
    bounds = [machine, *(_room(folder, *names) for folder, names in _groups())]
    return min((each for each in bounds if each is not None), default=None)


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


Names = tuple[str, str, tuple[str, ...]]


def _groups(ours: Path = OUR_GROUP, groups: Path = GROUPS) -> list[tuple[Path, Names]]:
    """Our control group's folders, innermost first, each with the names that its version uses.

    The limit may stand at any level above us, and in a container the outermost one shows as the root.
    """
    try:
        lines = [line.split(":", 2) for line in ours.read_text().splitlines()]
    except OSError:
        return []
    found: list[tuple[Path, Names]] = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        v1 = "memory" in controllers.split(",")
        if controllers and not v1:
            continue
        root, names = (groups / "memory", _V1) if v1 else (groups, _V2)
        parts = Path(path.strip("/")).parts
        found += [(root.joinpath(*parts[:depth]), names) for depth in range(len(parts), -1, -1)]
    return found


def _room(folder: Path, limit: str, usage: str, reclaimable: tuple[str, ...]) -> int | None:
    """Bytes below this group's limit; None where it has none."""
    try:
        bound, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        rows = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        cached = sum(int(row[1]) for row in rows if len(row) == 2 and row[0] in reclaimable)
    except (OSError, ValueError):  # no such file, or "max"
        return None
    return max(0, bound - used + cached)
