"""Several windows on one folder: a lock for each conversation that somebody speaks in, held while a turn goes
on, a sign that others are there, and for each window one that it is still open. Locks end with the process,
however it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
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
SIGN = "window-{}.lock"
LOOK_SECONDS = 0.02


@dataclass(eq=False)
class SpokenElsewhere(Exception):
    """Another window is speaking in this conversation."""

    thread: str


class Windows:
    """This window, as one of those that may be open.

    Attributes:
        alone: no other one was open when this one was opened.
        id: a name that no other window ever has.
    """

    def __init__(self, folder: Path | None) -> None:
        """`folder`: where the locks lie; None: of a private chat, which no other window sees."""
        self._folder = folder
        self._mine: int | None = None
        self._sign: int | None = None
        self.id = secrets.token_hex(8)
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
        if self._sign is not None:
            _let_go(self._path_of(self.id), self._sign)
            self._sign = None

    def sign(self) -> None:
        """From now on until it ends, others see that this window is open. Blocking; may be called again."""
        if self._folder is None or self._sign is not None:
            return
        with contextlib.suppress(OSError):  # a folder without locks: everybody seems to be gone
            self._sweep(self._folder)
            while (sign := _alone(self._path_of(self.id))) is None:
                time.sleep(LOOK_SECONDS)  # another window is sweeping
            self._sign = sign

    def gone(self, window: str) -> bool:
        """Whether the window with that `id` has ended, after it had given its sign."""
        if window == self.id:
            return False
        named = self._folder is not None and re.fullmatch(r"[0-9a-f]{1,64}", window)
        return not named or not held(self._path_of(window))

    def _sweep(self, folder: Path) -> None:
        """Signs of windows that were killed."""
        for path in folder.glob(SIGN.format("*")):
            with contextlib.suppress(OSError):  # it stays
                if (handle := taken(path)) is not None:
                    _let_go(path, handle)

    def _path_of(self, window: str) -> Path:
        assert self._folder is not None  # noqa: S101  ours
        return self._folder / SIGN.format(window)

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
        try:
            handle = _alone(self._path(thread))
        except OSError:
            return None  # a folder that cannot be written has no second writer either
        if handle is None:
            raise SpokenElsewhere(thread)
        return handle

    def _give_back(self, thread: str, handle: int | None) -> None:
        if handle is not None:
            _let_go(self._path(thread), handle)

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


def _alone(path: Path) -> int | None:
    """As `taken`, of a file that others take away when they give it back: it is the one that is there.

    Raises:
        OSError: the file cannot be made.
    """
    while (handle := taken(path)) is not None:
        if _is_at(handle, path):
            return handle
        os.close(handle)  # it was given back, and the file taken away, while we waited
    return None


def _let_go(path: Path, handle: int) -> None:
    """Give a lock back, and take its file away."""
    if os.name != "nt":  # Windows cannot delete a file that is open
        path.unlink(missing_ok=True)
    os.close(handle)


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
