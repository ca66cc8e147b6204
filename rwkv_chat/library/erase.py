"""The end of the trash: conversations deleted long ago are erased for good."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rwkv_chat.library.database import transaction
from rwkv_chat.library.rows import reference

if TYPE_CHECKING:
    import sqlite3

TRASH_DAYS = 30
DAY = 86_400.0


def purge(db: sqlite3.Connection, now: float | None = None, days: float = TRASH_DAYS) -> tuple[str, ...]:
    """Erase threads deleted more than `days` ago, and the trees that no thread is left in.

    Returns:
        The prefix keys whose saved states nobody needs any more: no message that is left has them.
    """
    before = (time.time() if now is None else now) - days * DAY
    with transaction(db):
        if db.execute("DELETE FROM threads WHERE deleted < ?", (before,)).rowcount < 1:
            return ()
        db.execute(
            "CREATE TEMP TABLE gone AS SELECT id FROM nodes WHERE tree NOT IN (SELECT tree FROM threads)"
        )
        keys = _keys(db, "SELECT prefix FROM node_tokens WHERE node IN (SELECT id FROM gone)")
        db.execute("DELETE FROM node_tokens WHERE node IN (SELECT id FROM gone)")
        db.execute("UPDATE nodes SET parent = NULL WHERE id IN (SELECT id FROM gone)")
        db.execute("DELETE FROM nodes WHERE id IN (SELECT id FROM gone)")
        db.execute("DROP TABLE gone")
        return tuple(sorted(keys - _keys(db, "SELECT prefix FROM node_tokens")))


def _keys(db: sqlite3.Connection, query: str) -> set[str]:
    return {key for row in db.execute(query) if (key := reference(row, "prefix")) is not None}
