"""A folder for one command that keeps nothing: what is said in it is gone with it, even after a kill."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DownloadBusy
from engine.weights.partial import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_START, _LOCK = "rwkv-chat-", ".lock"


@contextmanager
def throwaway() -> Iterator[Path]:
    """An empty folder among the system's temporary ones. Those of commands that were killed are deleted
    first: a living one holds the lock in its own. Raises: OSError.
    """
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_START, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with lock(folder / _LOCK, folder):
            yield folder


def _sweep(place: Path) -> None:
    with suppress(OSError):
        for folder in list(place.glob(f"{_START}*")):
            if _is_ours(folder) and (folder / _LOCK).is_file():
                with suppress(OSError, DownloadBusy), lock(folder / _LOCK, folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Everybody may make folders and links there: only a true folder of this person's counts."""
    user = getattr(os, "getuid", lambda: 0)()  # on Windows nobody owns anything by number
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == user
