"""Copies of the library: at most one a day, the last few are kept.

`VACUUM INTO` reads through a connection of its own, so nobody waits for it, and fails on a damaged database
rather than copying the damage over good copies.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from rwkv_chat.library import erase, index
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import typed
from rwkv_chat.paths import private_file

if TYPE_CHECKING:
    from pathlib import Path

KEEP = 3
DAY = 86_400.0
_PATTERN = "library-*.sqlite"


def backups(folder: Path) -> tuple[Path, ...]:
    """The copies there are, newest first."""
    return tuple(sorted(folder.glob(_PATTERN), reverse=True))


def rotate(database: Path, folder: Path, now: float | None = None, keep: int = KEEP) -> Path | None:
    """Make today's copy if the newest is a day old, and drop the oldest; None if there was nothing to do.

    Raises:
        LibraryError: the copy failed; the older ones stay.
    """
    now = time.time() if now is None else now
    made = backups(folder)
    if made and now - made[0].stat().st_mtime < DAY:
        return None
    copy = _copy(database, folder / time.strftime("library-%Y%m%d-%H%M%S.sqlite", time.gmtime(now)))
    for old in backups(folder)[keep:]:
        old.unlink(missing_ok=True)
    return copy


def erase_everywhere(folder: Path, thread: str) -> int:
    """Erase a conversation from every copy too; how many copies there are. A copy is changed beside itself
    and then takes its place.

    Raises:
        LibraryError, OSError: a copy cannot be opened or written; it and those after it are as they were.
    """
    copies = backups(folder)
    for copy in copies:
        part = copy.with_suffix(".part")
        try:
            private_file(part)
            shutil.copyfile(copy, part)
            _erase_in(part, thread)
            shutil.copystat(copy, part)  # it is no newer than it was: the next copy is due by its time
            part.replace(copy)
        finally:
            for rest in ("", "-wal", "-shm"):
                part.with_name(part.name + rest).unlink(missing_ok=True)
    return len(copies)


def _erase_in(file: Path, thread: str) -> None:
    """Written anew, so that no page keeps anything."""
    with closing(connect(file)) as db:
        try:
            erase.erase(db, thread)
            index.settle(db, begin=True)
            while index.settle(db):
                pass
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("VACUUM")
        except sqlite3.Error as error:
            raise typed(error, str(file)) from error


def _copy(database: Path, target: Path) -> Path:
    """Written under another name first: a copy that was cut short never counts."""
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    private_file(part)
    try:
        with closing(sqlite3.connect(database)) as db:
            db.execute("VACUUM INTO ?", (str(part),))
        part.replace(target)
    except sqlite3.Error as error:
        raise typed(error, str(target)) from error
    finally:
        part.unlink(missing_ok=True)
    return target
