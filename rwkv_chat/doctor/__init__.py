"""Is everything in order? Looks, changes nothing, and never raises.

    for group, findings in examine(Paths.find()): …

Each group of checks is a module with one function; the table below is the order in which they are shown.
Texts stand in the catalogue under `doctor`: `<group>.title`, `<group>.fine`, and `advice.<name>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.doctor import conversations, devices, disk, memory, model, terminal, versions
from rwkv_chat.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths

__all__ = ["GROUPS", "Finding", "Status", "examine"]

GROUPS: dict[str, Callable[[Paths, Path | None], Iterable[Finding]]] = {
    "versions": versions.check,
    "devices": devices.check,
    "memory": memory.check,
    "disk": disk.check,
    "conversations": conversations.check,
    "model": model.check,
    "terminal": terminal.check,
}


def examine(paths: Paths, chosen: Path | None = None) -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """(group, findings) in the order of the table; `chosen` is the weights file to look at, None for the one
    in the settings. A check that fails is a finding itself.
    """
    for group, check in GROUPS.items():
        yield group, tuple(_safely(group, check, paths, chosen))


def _safely(
    group: str, check: Callable[[Paths, Path | None], Iterable[Finding]], paths: Paths, chosen: Path | None
) -> Iterator[Finding]:
    try:
        yield from check(paths, chosen)
    except Exception as error:  # one broken part must not hide the others
        yield Finding.failed(group, error)
