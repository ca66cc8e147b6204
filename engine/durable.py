"""The one way in which a written file takes its name: it is on the disk first, and the name is after it.

A rename alone survives a killed program, but not a power cut: the file's content or the folder's entry may
still be in memory only.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def into_place(part: Path, target: Path) -> None:
    """`part` becomes `target`, in place of what was there. A folder is moved as it is: what is in it is
    synced by whoever wrote it (`sync_within`).

    Raises:
        OSError: nothing was moved, or the move is not sure to last.
    """
    if not part.is_dir():
        sync_file(part)
    part.replace(target)
    sync_folder(target.parent)


def link_into_place(part: Path, target: Path) -> None:
    """`target` becomes another name of `part`, unless it is there already: one step, whoever else is at it.

    Raises:
        FileExistsError.  OSError: this disk has no hard links, or refused.
    """
    sync_file(part)
    os.link(part, target)
    sync_folder(target.parent)


def sync_file(path: Path) -> None:
    """What was written to a file is on the disk when this returns.

    Raises:
        OSError: the disk refused.
    """
    with path.open("r+b") as file:  # Windows syncs only what may be written
        os.fsync(file.fileno())


def sync_within(folder: Path) -> None:
    """The files that lie in a folder, and their names, are on the disk when this returns.

    Raises:
        OSError: the disk refused, or something else than files lies there.
    """
    for each in folder.iterdir():
        sync_file(each)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Names in `folder` last through a power cut, where the system can do that (Windows neither can nor
    needs to; some network disks refuse).
    """
    if os.name == "nt":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
