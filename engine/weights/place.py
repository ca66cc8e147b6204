"""Where a file is to stand: room is checked first, and it appears whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, DiskFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes it at the end, synced; nothing stays after an error.

    Raises:
        DiskFailed: the disk refused.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("r+b") as handle:  # Windows syncs only what may be written
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: Path, needed: int, *, overwrite: bool = False) -> None:
    """Whether `needed` bytes can be written at `path`.

    Raises:
        DiskFailed: something is there already (and `overwrite` is not said), or the folder is missing.
        DiskFull.
    """
    if os.path.lexists(path) and not overwrite:
        raise DiskFailed(str(path), os.strerror(errno.EEXIST))
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise DiskFailed(str(path.parent), error.strerror or str(error)) from error
    if needed > free:
        raise DiskFull(str(path.parent), needed, free)
