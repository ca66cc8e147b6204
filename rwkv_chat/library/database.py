"""One SQLite file, one thread that touches it.

WAL, so that a reader (a backup, a second instance) never waits for a writer; `synchronous=FULL`, so that a
commit which returned survives a power cut. SQLite gives the `-wal` and `-shm` files the mode of the database,
0600.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rwkv_chat.library.errors import (
    LibraryDamaged,
    LibraryForeign,
    LibraryReadOnly,
    LibraryTooNew,
    LibraryUnavailable,
    typed,
)
from rwkv_chat.library.migrations import APPLICATION_ID, MIGRATIONS, migrate
from rwkv_chat.paths import private_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")
BUSY_SECONDS = 5.0
_MAGIC = b"SQLite format 3\0"


MEMORY = Path(":memory:")  # in place of a file: a library that is written nowhere


def connect(path: Path) -> sqlite3.Connection:
    """Open (or make) the library's database and bring its schema up to date. `MEMORY` stands for one that is
    gone when it is closed.

    Raises:
        LibraryTooNew, LibraryForeign, LibraryDamaged: the file is left as it is.
        LibraryReadOnly, LibraryLocked, LibraryFull, LibraryUnavailable: the system refuses.
    """
    if path != MEMORY:
        _look_before_opening(path)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _refuse_newer(path, db.execute("PRAGMA user_version").fetchone()[0])
        db.row_factory = sqlite3.Row
        db.text_factory = _text
        if path == MEMORY:
            db.execute("PRAGMA temp_store = MEMORY")  # nor is anything beside it
        else:
            _use_wal(db)
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")  # macOS: past the drive's own cache; nothing elsewhere
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten
        migrate(db)
    except sqlite3.Error as error:
        db.close()
        raise typed(error, str(path)) from error
    except BaseException:
        db.close()
        raise
    return db


def _text(stored: bytes) -> str:
    """One damaged byte must not hide a whole list: it reads as U+FFFD."""
    return stored.decode("utf-8", "replace")


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite doesn't wait for a lock here, and another program may be making the library too: try again."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _look_before_opening(path: Path) -> None:
    """Read the header's bytes: opening a file with SQLite may already change what lies beside it."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise LibraryUnavailable(str(path), "not a file")
    try:
        private_file(path)
        if not path.stat().st_size:
            return  # a new file
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LibraryReadOnly(str(path)) from error
        raise LibraryUnavailable(str(path), error.strerror or str(error)) from error
    check_header(path)


def check_header(path: Path) -> None:
    """By its first bytes: is a file a library that this program can read?

    Raises:
        LibraryDamaged, LibraryForeign, LibraryTooNew, LibraryUnavailable.
    """
    if path.exists() and not path.is_file():
        raise LibraryUnavailable(str(path), "not a file")
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise LibraryUnavailable(str(path), error.strerror or str(error)) from error
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise LibraryDamaged(str(path), "not a database")
    version = int.from_bytes(header[60:64], "big")
    owner = int.from_bytes(header[68:72], "big")
    if owner not in (0, APPLICATION_ID):
        raise LibraryForeign(str(path))
    _refuse_newer(path, version)


def _refuse_newer(path: Path, version: int) -> None:
    if version > len(MIGRATIONS):
        raise LibraryTooNew(str(path), version, len(MIGRATIONS))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the write lock is taken at once, so that what is read inside stays true."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


class Library:
    """The database and its thread. `await library.run(f, …)` calls `f(db, …)` there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._db: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: Path) -> Library:
        """Raises: see `connect`."""
        library = cls(path)
        try:
            await asyncio.wrap_future(library._thread.submit(library._connect))
        except BaseException:
            library._thread.shutdown(wait=False)
            raise
        return library

    async def run(self, work: Callable[..., Result], *args: object, **named: object) -> Result:
        """Call `work(db, *args, **named)` on the database thread. Cancelling the caller doesn't stop the
        work.

        Raises:
            LibraryError: SQLite's errors, typed.
        """
        return await asyncio.shield(asyncio.wrap_future(self._thread.submit(self._call, work, args, named)))

    async def close(self) -> None:
        """Wait for what was submitted, then close; may be called twice."""
        await asyncio.to_thread(self._shut)

    def _connect(self) -> None:
        self._db = connect(self.path)

    def _call(self, work: Callable[..., Result], args: tuple, named: dict) -> Result:
        if self._db is None:
            raise LibraryUnavailable(str(self.path), "closed")
        try:
            return work(self._db, *args, **named)
        except sqlite3.Error as error:
            raise typed(error, str(self.path)) from error

    def _shut(self) -> None:
        self._thread.shutdown(wait=True)
        if self._db is not None:
            self._db.close()
            self._db = None
