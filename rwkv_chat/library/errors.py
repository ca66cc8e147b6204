"""The library's errors: data, not sentences.

LibraryError
├── LibraryLocked(path)              another program holds the database for too long
├── LibraryFull(path)                no room left on the disk
├── LibraryReadOnly(path)            the file or its folder cannot be written
├── LibraryDamaged(path, reason)     not a database, or a broken one
│   └── CopyDamaged(path, reason)    the same of a file to go back to
├── LibraryForeign(path)             a database of some other program
├── LibraryTooNew(path, found, known)  written by a newer version of this program; left untouched
├── LibraryUnavailable(path, reason) it cannot be opened or read at all
├── ThreadMissing(thread)            no such conversation (any more)
├── NodeMissing(node)                no such message
└── PersonaMissing(persona)          no such persona
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


class LibraryError(Exception):
    """The family."""


@dataclass(eq=False)
class LibraryLocked(LibraryError):
    path: str


@dataclass(eq=False)
class LibraryFull(LibraryError):
    path: str


@dataclass(eq=False)
class LibraryReadOnly(LibraryError):
    path: str


@dataclass(eq=False)
class LibraryDamaged(LibraryError):
    path: str
    reason: str


@dataclass(eq=False)
class CopyDamaged(LibraryDamaged):
    pass


@dataclass(eq=False)
class LibraryForeign(LibraryError):
    path: str


@dataclass(eq=False)
class LibraryTooNew(LibraryError):
    path: str
    found: int
    known: int


@dataclass(eq=False)
class LibraryUnavailable(LibraryError):
    path: str
    reason: str


@dataclass(eq=False)
class ThreadMissing(LibraryError):
    thread: str


@dataclass(eq=False)
class NodeMissing(LibraryError):
    node: str


@dataclass(eq=False)
class PersonaMissing(LibraryError):
    persona: str


_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_READ_ONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


def typed(error: sqlite3.Error, path: str) -> LibraryError:
    """SQLite's error as one of ours, by its primary result code."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = -1 if code is None else code & 0xFF
    if primary in _LOCKED:
        return LibraryLocked(path)
    if primary == sqlite3.SQLITE_FULL:
        return LibraryFull(path)
    if primary in _READ_ONLY:
        return LibraryReadOnly(path)
    if primary in _DAMAGED:
        return LibraryDamaged(path, str(error))
    return LibraryUnavailable(path, str(error))
