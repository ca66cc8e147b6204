"""What people put on conversations to find them again: tags, pins, the archive."""

from __future__ import annotations

import time
import unicodedata
from typing import TYPE_CHECKING

from rwkv_chat.library import rows, threads
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from rwkv_chat.transcript import Thread

LONGEST_TAG = 40  # characters


def tag_from(text: str) -> str:
    """A tag as it is stored: a word or some, in lower case, without "#"; "" where nothing is left."""
    shown = "".join(
        " " if each.isspace() else each
        for each in unicodedata.normalize("NFC", text)
        if each.isspace() or unicodedata.category(each)[0] != "C"
    )
    return " ".join(shown.lstrip("# ").casefold().split())[:LONGEST_TAG].strip()


def listed(
    db: sqlite3.Connection, limit: int = -1, *, tag: str = "", archived: bool | None = False
) -> tuple[Thread, ...]:
    """Conversations that are not deleted: the pinned ones first, then the newest; at most `limit` (-1: all).

    Args:
        tag: with this tag only.  archived: those in the archive, in place of the others; None: both.
    """
    where, values = "deleted IS NULL", dict[str, object](limit=limit)
    if archived is not None:
        where += f" AND archived IS {'NOT ' if archived else ''}NULL"
    if tag:
        where += " AND id IN (SELECT thread FROM thread_tags WHERE tag = :tag)"
        values["tag"] = tag_from(tag)
    found = db.execute(_LISTED.format(where=where, pinned="NOT NULL", sign="+"), values).fetchall()
    if limit >= 0:
        values["limit"] = max(0, limit - len(found))
    found += db.execute(_LISTED.format(where=where, pinned="NULL", sign=""), values).fetchall()
    return tuple(rows.thread(row) for row in found)


# The pinned ones are found by their index (the sign keeps SQLite from looking through all by time), others
# stand in that of their time.
_LISTED = (
    "SELECT * FROM threads WHERE pinned IS {pinned} AND {where} "
    "ORDER BY {sign}updated DESC, created DESC, id LIMIT :limit"
)


def tags(db: sqlite3.Connection) -> tuple[tuple[str, int], ...]:
    """Every tag that a conversation has, with how many of those that are not deleted; the most used first."""
    found = db.execute(
        "SELECT tag, count(*) AS number FROM thread_tags JOIN threads ON threads.id = thread_tags.thread "
        "WHERE threads.deleted IS NULL GROUP BY tag ORDER BY number DESC, tag"
    )
    return tuple((rows.text(row, "tag"), row["number"]) for row in found)


def tags_of(db: sqlite3.Connection, chosen: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The tags of some conversations, by id, in their order."""
    wanted = tuple(chosen)
    return {each: tuple(row[0] for row in db.execute(_TAGS, (each,))) for each in wanted}


_TAGS = "SELECT tag FROM thread_tags WHERE thread = ? ORDER BY tag"


def tag(
    db: sqlite3.Connection, chosen: Sequence[str], add: Sequence[str] = (), remove: Sequence[str] = ()
) -> None:
    """Put tags on conversations and take others off; all or nothing. Raises: ThreadMissing."""
    with transaction(db):
        for each in chosen:
            threads.get(db, each)
            for name in filter(None, map(tag_from, add)):
                db.execute("INSERT OR IGNORE INTO thread_tags (thread, tag) VALUES (?, ?)", (each, name))
            for name in map(tag_from, remove):
                db.execute("DELETE FROM thread_tags WHERE thread = ? AND tag = ?", (each, name))


def pin(db: sqlite3.Connection, thread: str, *, on: bool = True) -> Thread:
    """Above all others in the list, or not any more. Raises: ThreadMissing."""
    return _mark(db, "UPDATE threads SET pinned = ? WHERE id = ?", thread, on=on)


def archive(db: sqlite3.Connection, thread: str, *, on: bool = True) -> Thread:
    """Out of the list, but kept for as long as one likes; or back into it. Raises: ThreadMissing."""
    return _mark(db, "UPDATE threads SET archived = ? WHERE id = ?", thread, on=on)


def _mark(db: sqlite3.Connection, statement: str, thread: str, *, on: bool) -> Thread:
    db.execute(statement, (time.time() if on else None, thread))
    return threads.get(db, thread)
