"""A copy of the library becomes the library again.

It is written into the database that is there, page by page in one transaction of SQLite's: killed anywhere,
the library is what it was or what the copy is, and another window that has it open goes on with what it
finds.
What was there is copied first. Where that is no database any more, its files are put aside as they are.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import backup, health
from rwkv_chat.library.database import BUSY_SECONDS, check_header, connect
from rwkv_chat.library.errors import (
    CopyDamaged,
    LibraryDamaged,
    LibraryForeign,
    LibraryLocked,
    LibraryUnavailable,
    typed,
)
from rwkv_chat.paths import private_file

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.library.health import Health

PAGES = 256  # copied between two looks at the clock


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done.

    Attributes:
        health: of the library now.
        before: a copy of what was there; None where nothing was, or nothing that could be copied.
        aside: where a damaged library was put.
    """

    health: Health
    before: Path | None = None
    aside: Path | None = None


def restore(database: Path, copy: Path, folder: Path) -> Restored:
    """Makes `copy` the library; a copy of what was there goes into `folder`.

    Raises:
        LibraryError: the copy is damaged, of another program or of a newer version of this one; nothing was
            changed. Or the library cannot be written: it is what it was.
    """
    check(copy)
    before = aside = None
    if database.exists() and database.stat().st_size:
        try:
            before = backup.make_before_restore(database, folder)
        except LibraryDamaged:
            aside = _put_aside(database)
    _write(copy, database)
    connect(database).close()  # an older copy comes to today's schema
    return Restored(health.look(database), before, aside)


def check(copy: Path) -> Health:
    """Whether a file is a sound copy of a library; what is in it.

    Raises:
        LibraryError: it is not.
    """
    try:
        check_header(copy)
        found = health.look(copy)
    except LibraryDamaged as error:
        raise CopyDamaged(error.path, error.reason) from error
    if found.faults:
        raise CopyDamaged(str(copy), found.faults[0])
    try:
        with closing(_reader(copy)) as db:
            _check_schema(db, copy)
    except sqlite3.Error as error:
        raise typed(error, str(copy)) from error
    return found


def _check_schema(db: sqlite3.Connection, copy: Path) -> None:
    """Ours has tables and indexes only: what would run by itself was put there by somebody else."""
    kinds = {row[0] for row in db.execute("SELECT DISTINCT type FROM sqlite_master")}
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not kinds <= {"table", "index"} or not {"threads", "nodes", "node_tokens"} <= tables:
        raise LibraryForeign(str(copy))


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _write(copy: Path, database: Path) -> None:
    """Raises: LibraryLocked: another program writes all the time.  LibraryError."""
    private_file(database)
    deadline = time.monotonic() + BUSY_SECONDS

    def look(status: int, _left: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise LibraryLocked(str(database))

    try:
        with (
            closing(_reader(copy)) as source,
            closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as target,
        ):
            target.execute("PRAGMA synchronous = FULL")
            target.execute("PRAGMA fullfsync = ON")
            source.backup(target, pages=PAGES, progress=look, sleep=0.05)
    except sqlite3.Error as error:
        raise typed(error, str(database)) from error


def asides(database: Path) -> tuple[Path, ...]:
    """Damaged libraries that were put aside; what is in them cannot be erased but with them."""
    found = database.parent.glob(f"{database.stem}-damaged-*")
    return tuple(sorted(each for each in found if each.suffix == database.suffix))


def _put_aside(database: Path) -> Path:
    """The damaged library's files under another name: somebody may still get something out of them."""
    aside = _free(database, f"{database.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        for rest in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                database.with_name(database.name + rest).replace(aside.with_name(aside.name + rest))
    except OSError as error:
        raise LibraryUnavailable(str(database), error.strerror or str(error)) from error
    return aside


def _free(database: Path, stem: str) -> Path:
    """A name beside the database that nothing has, nor the log of anything."""
    number, aside = 1, database.with_name(stem + database.suffix)
    while any(os.path.lexists(aside.with_name(aside.name + rest)) for rest in ("-wal", "-shm", "")):
        number += 1
        aside = database.with_name(f"{stem}-{number}{database.suffix}")
    return aside
