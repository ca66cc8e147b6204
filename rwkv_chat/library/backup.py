"""Copies of the library: at most one a day, the last few are kept.

`VACUUM INTO` reads through a connection of its own, so nobody waits for it, and fails on a damaged database
rather than copying the damage over good copies.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

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
