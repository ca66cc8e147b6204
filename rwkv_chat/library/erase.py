"""The end of the trash: conversations deleted long ago are erased for good."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from engine.prefix import EMPTY, walk
from rwkv_chat.library import index
from rwkv_chat.library.database import transaction
from rwkv_chat.library.rows import reference, unpack

if TYPE_CHECKING:
    import sqlite3

TRASH_DAYS = 30
DAY = 86_400.0


def purge(db: sqlite3.Connection, now: float | None = None, days: float = TRASH_DAYS) -> tuple[str, ...]:
    """Erase threads deleted more than `days` ago, the trees that no thread is left in, and branches that
    were deleted as long ago.

    Returns:
        The prefix keys whose saved states nobody needs any more: no message that is left has them. Those
        inside messages too, since a state may have been saved anywhere on the way.
    """
    before = (time.time() if now is None else now) - days * DAY
    return tuple(sorted({*_erase(db, "deleted < ?", before), *_erase_branches(db, before)}))


def erase(db: sqlite3.Connection, thread: str) -> tuple[str, ...]:
    """Erase one conversation now, and its tree unless another conversation stands in it; see `purge`."""
    return _erase(db, "id = ?", thread)


def sweep(db: sqlite3.Connection) -> None:
    """Leave nothing of what was erased in the write-ahead log either, unless somebody reads there now."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _erase(db: sqlite3.Connection, condition: str, value: object) -> tuple[str, ...]:
    with transaction(db):
        if db.execute(f"DELETE FROM threads WHERE {condition}", (value,)).rowcount < 1:  # noqa: S608
            return ()
        db.execute(
            "CREATE TEMP TABLE gone AS SELECT id FROM nodes WHERE tree NOT IN (SELECT tree FROM threads)"
        )
        return _erase_gone(db)


_GONE = """
INSERT INTO gone WITH RECURSIVE needed (id, parent) AS (
    SELECT id, parent FROM nodes WHERE (deleted IS NULL OR deleted >= :before)
    AND tree IN (SELECT tree FROM nodes WHERE deleted < :before)
    UNION SELECT nodes.id, nodes.parent FROM nodes JOIN needed ON nodes.id = needed.parent
)
SELECT id FROM nodes WHERE deleted < :before AND id NOT IN (SELECT id FROM needed)
AND id NOT IN (SELECT tip FROM threads WHERE tip IS NOT NULL)
"""


def _erase_branches(db: sqlite3.Connection, before: float) -> tuple[str, ...]:
    """Erase messages that were deleted before a time, but for those that others stand on."""
    if db.execute("SELECT 1 FROM nodes WHERE deleted < ? LIMIT 1", (before,)).fetchone() is None:
        return ()
    with transaction(db):
        db.execute("CREATE TEMP TABLE gone (id TEXT)")
        db.execute(_GONE, {"before": before})
        return _erase_gone(db)


def _erase_gone(db: sqlite3.Connection) -> tuple[str, ...]:
    """Erase the messages in `gone`; the keys that no message has any more."""
    keys = _keys(db, "SELECT prefix FROM node_tokens WHERE node IN (SELECT id FROM gone)")
    keys |= _keys_inside(db)
    index.remove(db, [row["id"] for row in db.execute("SELECT id FROM gone")])
    db.execute("DELETE FROM node_tokens WHERE node IN (SELECT id FROM gone)")
    db.execute("UPDATE nodes SET parent = NULL WHERE id IN (SELECT id FROM gone)")
    db.execute("DELETE FROM nodes WHERE id IN (SELECT id FROM gone)")
    db.execute("DROP TABLE gone")
    return tuple(sorted(keys - _keys(db, "SELECT prefix FROM node_tokens")))


_CHAINS = """
SELECT node_tokens.tokens, CASE WHEN nodes.fresh THEN NULL ELSE nodes.parent END AS parent, before.prefix
FROM node_tokens JOIN nodes ON nodes.id = node_tokens.node
LEFT JOIN node_tokens AS before ON before.node = nodes.parent AND before.coding = node_tokens.coding
WHERE node_tokens.node IN (SELECT id FROM gone)
"""


def _keys_inside(db: sqlite3.Connection) -> set[str]:
    """The key after every token of the messages in `gone`, where the key before them is known."""
    keys: set[str] = set()
    for row in db.execute(_CHAINS):
        start = EMPTY if row["parent"] is None else reference(row, "prefix")
        if start is not None and _is_key(start):
            keys.update(walk(unpack(row["tokens"]) or (), start))
    return keys


def _is_key(text: str) -> bool:
    """A damaged row must not keep the others from being erased."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _keys(db: sqlite3.Connection, query: str) -> set[str]:
    return {key for row in db.execute(query) if (key := reference(row, "prefix")) is not None}
