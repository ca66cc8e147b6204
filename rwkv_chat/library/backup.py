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

from engine.durable import into_place
from rwkv_chat.library import erase, index
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import typed
from rwkv_chat.paths import private_file
from rwkv_chat.windows import alone_at

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

KEEP = 3
DAY = 86_400.0
_DAILY, _ASKED, _BEFORE = "library", "asked", "before-restore"


def backups(folder: Path, kind: str = _DAILY) -> tuple[Path, ...]:
    """The copies of the turn of days that there are, newest first; or those that were asked for, or made
    before a restore.
    """
    return tuple(sorted(folder.glob(f"{kind}-*.sqlite"), reverse=True))


def copies(folder: Path) -> tuple[Path, ...]:
    """Every copy, newest first."""
    return _newest_first(folder, _DAILY, _ASKED, _BEFORE)


def newest(folder: Path) -> Path | None:
    """The last copy but those that were made before a restore: these are of what was given up."""
    return next(iter(_newest_first(folder, _DAILY, _ASKED)), None)


def _newest_first(folder: Path, *kinds: str) -> tuple[Path, ...]:
    found = (each for kind in kinds for each in backups(folder, kind))
    return tuple(sorted(found, key=lambda each: each.stem[-15:], reverse=True))


def rotate(database: Path, folder: Path, now: float | None = None, keep: int = KEEP) -> Path | None:
    """Make today's copy if the newest is a day old, and drop the oldest; None if there was nothing to do.

    Raises:
        LibraryError: the copy failed; the older ones stay.
    """
    now = time.time() if now is None else now
    made = backups(folder)
    if made and abs(now - made[0].stat().st_mtime) < DAY:  # in the future: the clock was set back
        return None
    return _kept(database, folder, _DAILY, now, keep)


def make(database: Path, folder: Path, now: float | None = None) -> Path:
    """A copy now, because somebody asked; the last few of these are kept, apart from the daily ones.

    Raises:
        LibraryError: the copy failed; the older ones stay.
    """
    return _kept(database, folder, _ASKED, time.time() if now is None else now, KEEP)


def make_before_restore(database: Path, folder: Path, now: float | None = None) -> Path:
    """What is about to be replaced, so that the replacing can be taken back."""
    return _kept(database, folder, _BEFORE, time.time() if now is None else now, KEEP)


def _kept(database: Path, folder: Path, kind: str, now: float, keep: int) -> Path:
    """A copy named for its kind and time; of its kind, the last `keep` stay. Whatever the clock says, the one
    just made is not dropped, and none takes the place of another.
    """
    with _alone(folder):
        while (target := folder / time.strftime(f"{kind}-%Y%m%d-%H%M%S.sqlite", time.gmtime(now))).exists():
            now += 1
        copy = copy_to(database, target)
        for old in [each for each in backups(folder, kind) if each != copy][keep - 1 :]:
            old.unlink(missing_ok=True)
    return copy


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Copies are made, dropped and changed by one at a time, whatever windows are open."""
    return alone_at(folder.with_name(f"{folder.name}.lock"))


def erase_everywhere(
    folder: Path, thread: str, personas: Sequence[str] = (), done: Container[Path] = ()
) -> tuple[Path, ...]:
    """Erase a conversation and personas from every copy too, but from those that are `done`; the copies. A
    copy is changed beside itself and then takes its place.

    Raises:
        LibraryError, OSError: a copy cannot be opened or written; it and those after it are as they were.
    """
    with _alone(folder):
        found = tuple(each for each in copies(folder) if each not in done)
        for copy in found:
            _replace(copy, thread, personas)
    return found


def _replace(copy: Path, thread: str, personas: Sequence[str]) -> None:
    part = copy.with_suffix(".part")
    try:
        private_file(part)
        shutil.copyfile(copy, part)
        _erase_in(part, thread, personas)
        shutil.copystat(copy, part)  # it is no newer than it was: the next copy is due by its time
        into_place(part, copy)
    finally:
        for rest in ("", "-wal", "-shm"):
            part.with_name(part.name + rest).unlink(missing_ok=True)


def _erase_in(file: Path, thread: str, personas: Sequence[str]) -> None:
    """Written anew, so that no page keeps anything."""
    with closing(connect(file)) as db:
        try:
            erase.erase(db, thread)
            for each in personas:
                db.execute("DELETE FROM personas WHERE id = ?", (each,))
            db.execute("DELETE FROM drafts WHERE thread IS NULL")  # what was erased may have begun as one
            index.settle(db, begin=True)
            while index.settle(db):
                pass
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("VACUUM")
        except sqlite3.Error as error:
            raise typed(error, str(file)) from error


def copy_to(database: Path, target: Path) -> Path:
    """A copy under a name of one's own. Written under another name first: one that was cut short never
    counts, and when this returns it is on the disk.

    Raises:
        LibraryError: the copy failed; what `target` was before stays.
    """
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    private_file(part)
    try:
        with closing(sqlite3.connect(database)) as db:
            db.execute("VACUUM INTO ?", (str(part),))
        into_place(part, target)
    except sqlite3.Error as error:
        raise typed(error, str(target)) from error
    finally:
        part.unlink(missing_ok=True)
    return target
