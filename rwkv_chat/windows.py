"""Several windows on one folder: a lock for each conversation that somebody speaks in, held while a turn goes
on, and a sign that others are there. Locks end with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FILE = "windows.lock"
LOOK_SECONDS = 0.02


@dataclass(eq=False)
class SpokenElsewhere(Exception):
    """Another window is speaking in this conversation."""

    thread: str


class Windows:
    """This window, as one of those that may be open.

    Attributes:
        alone: no other one was open when this one was opened.
    """

    def __init__(self, folder: Path | None) -> None:
        """`folder`: where the locks lie; None: of a private chat, which no other window sees."""
        self._folder = folder
        self._mine: int | None = None
        self._turns: Counter[str] = Counter()
        self._handles: dict[str, int | None] = {}
        self.alone = True
        if folder is not None:
            with contextlib.suppress(OSError):  # a folder without locks: nobody can be seen
                self._open(folder / FILE)

    def _open(self, path: Path) -> None:
        self._mine = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        self.alone = _lock(self._mine)
        _share(self._mine)

    def close(self) -> None:
        """This window is gone."""
        if self._mine is not None:
            os.close(self._mine)
            self._mine = None

    @contextlib.contextmanager
    def speaking(self, thread: str) -> Iterator[None]:
        """No other window speaks in this conversation meanwhile; within this one, a turn may begin while the
        one before is ending.

        Raises:
            SpokenElsewhere.
        """
        if not self._turns[thread]:
            self._handles[thread] = self._taken(thread)
        self._turns[thread] += 1
        try:
            yield
        finally:
            self._turns[thread] -= 1
            if not self._turns[thread]:
                del self._turns[thread]
                self._give_back(thread, self._handles.pop(thread))

    def _taken(self, thread: str) -> int | None:
        """Raises: SpokenElsewhere."""
        if self._folder is None or not re.fullmatch(r"[0-9a-f]{1,64}", thread):
            return None
        path = self._path(thread)
        while True:
            try:
                handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            except OSError:
                return None  # a folder that cannot be written has no second writer either
            if not _lock(handle):
                os.close(handle)
                raise SpokenElsewhere(thread)
            if _is_at(handle, path):
                return handle
            os.close(handle)  # it was given back, and the file taken away, while we waited

    def _give_back(self, thread: str, handle: int | None) -> None:
        if handle is None:
            return
        if os.name != "nt":  # Windows cannot delete a file that is open
            self._path(thread).unlink(missing_ok=True)
        os.close(handle)

    def _path(self, thread: str) -> Path:
        assert self._folder is not None  # noqa: S101  ours
        return self._folder / f"{thread}.lock"


@contextlib.contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Nobody else, in this process or another, is inside with the same file meanwhile; waits for them. Where
    a file cannot be locked there is nothing to wait for.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        yield
        return
    try:
        while not _lock(handle):
            time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(handle)


def taken(path: Path) -> int | None:
    """A handle to a lock file that is now ours, until it is closed in every process that has it; None where
    somebody else has it.

    Raises:
        OSError: the file cannot be made.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    if _lock(handle):
        return handle
    os.close(handle)
    return None


def held(path: Path) -> bool:
    """Whether somebody has a lock file; a look, which takes nothing for longer than that."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(handle, shared=True)  # two who only look see nobody
    finally:
        os.close(handle)


def _lock(handle: int, *, shared: bool = False) -> bool:
    """Takes a file for this window alone (`shared`: so that others may share it, where the system can do
    that); False where another one has it. Where there are no locks, True.
    """
    try:
        if fcntl is not None:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _share(handle: int) -> None:
    """From now on others may share the file, but not have it alone."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
