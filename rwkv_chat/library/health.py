"""Is the library sound? For `doctor` and for tests."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library.errors import typed
from rwkv_chat.library.migrations import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Health:
    """What a look at the database found.

    Attributes:
        faults: SQLite's own complaints and broken references, in its words; empty when sound.
        schema, known: the file's schema version and the newest that this program knows.
        threads, deleted, messages: counts.
        nbytes: size of the database's pages.
    """

    faults: tuple[str, ...]
    schema: int
    known: int
    threads: int
    deleted: int
    messages: int
    nbytes: int


def look(path: Path) -> Health:
    """`examine` through a connection of its own that cannot write.

    Raises:
        LibraryError: the file cannot be opened or read at all.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("PRAGMA schema_version").fetchone()
            return examine(db)
    except sqlite3.Error as error:
        raise typed(error, str(path)) from error


def examine(db: sqlite3.Connection) -> Health:
    """Check pages and references (`quick_check`, `foreign_key_check`) and count. Changes nothing."""
    return Health(
        faults=_faults(db),
        schema=_number(db, "PRAGMA user_version"),
        known=len(MIGRATIONS),
        threads=_number(db, "SELECT count(*) FROM threads WHERE deleted IS NULL"),
        deleted=_number(db, "SELECT count(*) FROM threads WHERE deleted IS NOT NULL"),
        messages=_number(db, "SELECT count(*) FROM nodes"),
        nbytes=_number(db, "PRAGMA page_count") * _number(db, "PRAGMA page_size"),
    )


def _faults(db: sqlite3.Connection) -> tuple[str, ...]:
    return (*_try(_pages, db), *_try(_references, db))


def _try(check: Callable[[sqlite3.Connection], tuple[str, ...]], db: sqlite3.Connection) -> tuple[str, ...]:
    """A check that cannot even run is a fault of its own."""
    try:
        return check(db)
    except sqlite3.DatabaseError as error:
        return (str(error),)


def _pages(db: sqlite3.Connection) -> tuple[str, ...]:
    said = tuple(str(row[0]) for row in db.execute("PRAGMA quick_check"))
    return () if said == ("ok",) else said


def _references(db: sqlite3.Connection) -> tuple[str, ...]:
    found = db.execute("PRAGMA foreign_key_check").fetchall()
    return tuple(f"{row[0]} row {row[1]} refers to a missing row of {row[2]}" for row in found)


def _number(db: sqlite3.Connection, query: str) -> int:
    """A single number; 0 where the page that holds it is broken."""
    try:
        value = db.execute(query).fetchone()
    except sqlite3.DatabaseError:
        return 0
    return value[0] if value is not None and isinstance(value[0], int) else 0
