"""Threads: named pointers at tips. Every function takes the connection and runs on the database thread."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import index, rows
from rwkv_chat.library.errors import ThreadMissing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from rwkv_chat.transcript import Thread, ThreadKind


def new_id() -> str:
    """Stable and never reused: 32 hex digits."""
    return uuid.uuid4().hex


def alive(db: sqlite3.Connection, limit: int = -1) -> tuple[Thread, ...]:
    """Threads that are not deleted, newest first; at most `limit` (-1: all)."""
    found = db.execute(
        "SELECT * FROM threads WHERE deleted IS NULL ORDER BY updated DESC, created DESC, id LIMIT ?",
        (limit,),
    )
    return tuple(rows.thread(row) for row in found)


def deleted(db: sqlite3.Connection) -> tuple[Thread, ...]:
    """Threads in the trash, last deleted first."""
    found = db.execute("SELECT * FROM threads WHERE deleted IS NOT NULL ORDER BY deleted DESC, id")
    return tuple(rows.thread(row) for row in found)


def get(db: sqlite3.Connection, thread: str) -> Thread:
    """Raises: ThreadMissing."""
    row = db.execute("SELECT * FROM threads WHERE id = ?", (thread,)).fetchone()
    if row is None:
        raise ThreadMissing(thread)
    return rows.thread(row)


def create(
    db: sqlite3.Connection, title: str = "", *, thread: str | None = None, kind: ThreadKind = "chat"
) -> Thread:
    """A new, empty thread with a tree of its own; `thread` is its id where one was given out already."""
    thread, now = thread or new_id(), time.time()
    db.execute(
        "INSERT INTO threads (id, tree, title, kind, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
        (thread, thread, title, kind, now, now),
    )
    return get(db, thread)


def rename(db: sqlite3.Connection, thread: str, title: str) -> Thread:
    """Raises: ThreadMissing."""
    db.execute("UPDATE threads SET title = ? WHERE id = ?", (title, thread))
    return get(db, thread)


def delete(db: sqlite3.Connection, thread: str) -> Thread:
    """Into the trash; nothing is erased. Raises: ThreadMissing."""
    db.execute("UPDATE threads SET deleted = ? WHERE id = ? AND deleted IS NULL", (time.time(), thread))
    return get(db, thread)


def restore(db: sqlite3.Connection, thread: str) -> Thread:
    """Out of the trash. Raises: ThreadMissing."""
    db.execute("UPDATE threads SET deleted = NULL WHERE id = ?", (thread,))
    return get(db, thread)


def move_tip(db: sqlite3.Connection, thread: str, tip: str | None, *, touch: bool = True) -> None:
    """Point `thread` at `tip`; `touch` makes it the newest. Nobody stands on deleted messages: they come
    back.
    """
    now = time.time()
    db.execute(
        "UPDATE threads SET tip = ?, updated = CASE WHEN ? THEN ? ELSE updated END WHERE id = ?",
        (tip, touch, now, thread),
    )
    if tip is not None:
        uncover(db, tip)


_ON_DELETED = (
    "SELECT 1 FROM nodes WHERE deleted IS NOT NULL AND id IN (?, (SELECT parent FROM nodes WHERE id = ?))"
)
_DELETED_BEFORE = """
WITH RECURSIVE up (id, parent) AS (
    SELECT id, parent FROM nodes WHERE id = ?
    UNION SELECT nodes.id, nodes.parent FROM nodes JOIN up ON nodes.id = up.parent
)
SELECT nodes.id FROM up JOIN nodes ON nodes.id = up.id WHERE nodes.deleted IS NOT NULL
"""


def uncover(db: sqlite3.Connection, node: str) -> None:
    """Take back what is deleted on the way to a message, itself too."""
    if db.execute(_ON_DELETED, (node, node)).fetchone() is not None:
        revive(db, [row[0] for row in db.execute(_DELETED_BEFORE, (node,))])


def revive(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Take messages back that were deleted."""
    for each in ids:
        db.execute("UPDATE nodes SET deleted = NULL WHERE id = ?", (each,))
        index.add(db, each)


def describe(db: sqlite3.Connection, thread: str, model: str, template: str) -> Thread:
    """Remember which model the thread speaks with, and how. Raises: ThreadMissing."""
    db.execute("UPDATE threads SET model = ?, template = ? WHERE id = ?", (model, template, thread))
    return get(db, thread)


def configure(
    db: sqlite3.Connection,
    thread: str,
    template: str | None = None,
    mode: str | None = None,
    keep_reasoning: bool | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Thread:
    """Choose how a thread is spoken from now on; None leaves a choice as it is. Raises: ThreadMissing."""
    own = None if sampling is None else rows.json_of(dict(sampling))
    keep = None if keep_reasoning is None else int(keep_reasoning)
    db.execute(
        "UPDATE threads SET chosen_template = coalesce(?, chosen_template), mode = coalesce(?, mode), "
        "keep_reasoning = coalesce(?, keep_reasoning), sampling = coalesce(?, sampling) WHERE id = ?",
        (template, mode, keep, own, thread),
    )
    return get(db, thread)


def tip_keys(db: sqlite3.Connection) -> tuple[str, ...]:
    """Prefix keys of the tips of threads that are not deleted, in every coding, newest thread first."""
    found = db.execute(
        "SELECT node_tokens.prefix FROM threads JOIN node_tokens ON node_tokens.node = threads.tip "
        "WHERE threads.deleted IS NULL AND node_tokens.prefix IS NOT NULL ORDER BY threads.updated DESC"
    )
    return tuple(key for row in found if (key := rows.reference(row, "prefix")) is not None)
