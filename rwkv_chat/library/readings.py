"""Texts that are read in the background: a thread of passages, and how far it was read. Runs on the database
thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes, rows, threads
from rwkv_chat.library.database import transaction
from rwkv_chat.library.errors import ThreadMissing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from rwkv_chat.transcript import Thread


@dataclass(frozen=True, slots=True)
class Book:
    """A text that is read, or was.

    Attributes:
        source: where it came from: a path, "" for none.
        passages: how many parts it has.
        tokens, done: of the text, and how many of them the model has read when that was last written down;
            0 until it began.
        paused: it waits until a person goes on with it.
        finished: when its end was reached, None before.
    """

    thread: Thread
    source: str = ""
    passages: int = 0
    tokens: int = 0
    done: int = 0
    paused: bool = False
    finished: float | None = None


def create(db: sqlite3.Connection, title: str, source: str, digest: str) -> Thread:
    """A text without its passages; it stays in the trash until `complete`."""
    with transaction(db):
        thread = threads.create(db, title, kind="reading")
        db.execute(
            "INSERT INTO readings (thread, source, digest, begun) VALUES (?, ?, ?, ?)",
            (thread.id, source, digest, time.time()),
        )
        return threads.delete(db, thread.id)


def append(db: sqlite3.Connection, thread: str, passages: Sequence[str]) -> None:
    """Add passages at the end."""
    with transaction(db):
        tip = nodes.tip(db, thread)
        for text in passages:
            tip = nodes.put(db, thread, tip, "system", text, kind="passage")
        threads.move_tip(db, thread, tip)
        db.execute("UPDATE readings SET passages = passages + ? WHERE thread = ?", (len(passages), thread))


def complete(db: sqlite3.Connection, thread: str) -> Book:
    """Every passage is there: the text can be read."""
    threads.restore(db, thread)
    return get(db, thread)


def progress(db: sqlite3.Connection, thread: str, tokens: int, done: int) -> None:
    """Write down how far a text was read."""
    finished = time.time() if tokens and done >= tokens else None
    db.execute(
        "UPDATE readings SET tokens = ?, done = ?, finished = ? WHERE thread = ?",
        (tokens, done, finished, thread),
    )


def pause(db: sqlite3.Connection, thread: str, on: bool) -> Book:
    """Raises: ThreadMissing."""
    db.execute("UPDATE readings SET paused = ? WHERE thread = ?", (int(on), thread))
    return get(db, thread)


_BOOKS = (
    "SELECT threads.*, readings.source, readings.passages, readings.tokens, readings.done, readings.paused, "
    "readings.finished FROM readings JOIN threads ON threads.id = readings.thread "
)


def get(db: sqlite3.Connection, thread: str) -> Book:
    """Raises: ThreadMissing (also where it is no text that is read)."""
    row = db.execute(_BOOKS + "WHERE readings.thread = ?", (thread,)).fetchone()
    if row is None:
        raise ThreadMissing(thread)
    return _book(row)


def every(db: sqlite3.Connection) -> tuple[Book, ...]:
    """All that are not in the trash, newest first."""
    found = db.execute(_BOOKS + "WHERE threads.deleted IS NULL ORDER BY readings.begun DESC, threads.id")
    return tuple(_book(row) for row in found)


def known(db: sqlite3.Connection, digest: str) -> Book | None:
    """The text that is here already."""
    row = db.execute(
        _BOOKS + "WHERE readings.digest = ? AND threads.deleted IS NULL ORDER BY readings.begun LIMIT 1",
        (digest,),
    ).fetchone()
    return None if row is None else _book(row)


def _book(row: sqlite3.Row) -> Book:
    return Book(
        thread=rows.thread(row),
        source=rows.text(row, "source"),
        passages=rows.whole(row, "passages") or 0,
        tokens=rows.whole(row, "tokens") or 0,
        done=rows.whole(row, "done") or 0,
        paused=bool(rows.whole(row, "paused")),
        finished=rows.moment(row, "finished"),
    )
