"""Where a file is to stand: room is checked first, and it appears whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from engine.durable import into_place, link_into_place
from engine.errors import DiskFailed, DiskFull, DownloadBusy, FileInTheWay
from engine.weights.partial import lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNFINISHED, _LOCK = ".tmp", ".lock"


@contextmanager
def in_place_of(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` that becomes it at the end, synced; nothing stays after an error.

    A lock says that this program lives: what a killed one left there of an earlier try is deleted first.

    Raises:
        DiskFailed: the disk refused.
        FileInTheWay: without `overwrite`, something came to stand at `path` meanwhile.
    """
    sweep(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    with ExitStack() as held:
        with suppress(OSError, DownloadBusy):  # a disk without locks
            held.enter_context(lock(_lock_of(temporary), path))
        try:
            yield temporary
            _move(temporary, path, overwrite=overwrite)
        except FileExistsError as error:
            raise FileInTheWay(str(path)) from error
        except OSError as error:
            raise DiskFailed(str(path), error.strerror or str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)


def _move(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            link_into_place(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        else:
            return
    into_place(temporary, path)


def _lock_of(temporary: Path) -> Path:
    return temporary.with_name(temporary.name + _LOCK)


def sweep(path: Path) -> None:
    """Deletes temporary files of `path` whose program was killed; the living hold their locks."""
    with suppress(OSError):  # no such folder: whoever writes there says so
        for mark in list(path.parent.glob(f".{glob.escape(path.name)}.*{_UNFINISHED}{_LOCK}")):
            with suppress(OSError, DownloadBusy), lock(mark, path):
                mark.with_name(mark.name.removesuffix(_LOCK)).unlink(missing_ok=True)


def check_place(path: Path, needed: int, *, overwrite: bool = False) -> None:
    """Whether `needed` bytes can be written at `path`.

    Raises:
        FileInTheWay: something is there already, and `overwrite` is not said.
        DiskFailed: the folder is missing.  DiskFull.
    """
    if os.path.lexists(path) and not overwrite:
        raise FileInTheWay(str(path))
    sweep(path)
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise DiskFailed(str(path.parent), error.strerror or str(error)) from error
    if needed > free:
        raise DiskFull(str(path.parent), needed, free)
