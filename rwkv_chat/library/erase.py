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
    """Erase threads deleted more than `days` ago with the messages that were theirs alone, and branches that
    were deleted as long ago.

    Returns:
        The prefix keys whose saved states nobody needs any more: no message that is left has them. Those
        inside messages too, since a state may have been saved anywhere on the way.
    """
    before = (time.time() if now is None else now) - days * DAY
    return tuple(sorted({*_erase(db, "deleted < ?", before), *_erase_branches(db, before)}))


def erase(db: sqlite3.Connection, thread: str) -> tuple[str, ...]:
    """Erase one conversation now, with all messages but those that another one stands or stood on; see
    `purge`.
    """
    return _erase(db, "id = ?", thread)


def sweep(db: sqlite3.Connection) -> None:
    """Leave nothing of what was erased in the write-ahead log either, unless somebody reads there now."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _erase(db: sqlite3.Connection, condition: str, value: object) -> tuple[str, ...]:
    with transaction(db):
        chosen = [row["id"] for row in db.execute(f"SELECT id FROM threads WHERE {condition}", (value,))]  # noqa: S608  our own condition
        if not chosen:
            return ()
        trees = {row["tree"] for each in chosen for row in db.execute(_TREE, (each,))}
        theirs = set().union(*(_stood_on(db, each) for each in chosen))
        db.executemany("DELETE FROM threads WHERE id = ?", [(each,) for each in chosen])
        db.execute("CREATE TEMP TABLE gone (id TEXT PRIMARY KEY)")
        for tree in trees:
            _choose(db, tree, theirs)
        return _erase_gone(db)


_TREE = "SELECT tree FROM threads WHERE id = ?"
_STOOD_ON = """
WITH RECURSIVE stood (id) AS (
    SELECT tip FROM threads WHERE id = :thread
    UNION SELECT before FROM steps WHERE thread = :thread UNION SELECT after FROM steps WHERE thread = :thread
    UNION SELECT branch FROM steps WHERE thread = :thread
    UNION SELECT nodes.parent FROM nodes JOIN stood ON nodes.id = stood.id
)
SELECT id FROM stood WHERE id IS NOT NULL
"""
# copies that a crash cut short (`library/copying.py`)
_HALF_MADE = (
    "INSERT OR IGNORE INTO gone SELECT id FROM nodes WHERE tree = ? AND deleted IS NOT NULL "
    "AND EXISTS (SELECT 1 FROM search_docs WHERE node = nodes.id AND tree = '')"
)
_UNDER = """
INSERT OR IGNORE INTO gone WITH RECURSIVE under (id) AS (
    SELECT id FROM gone UNION SELECT nodes.id FROM nodes JOIN under ON nodes.parent = under.id
)
SELECT id FROM under
"""


def _stood_on(db: sqlite3.Connection, thread: str) -> set[str]:
    """The messages that a conversation stands on, or did before something was undone or another way taken."""
    return {row["id"] for row in db.execute(_STOOD_ON, {"thread": thread})}


def _choose(db: sqlite3.Connection, tree: str, theirs: set[str]) -> None:
    """Put into `gone` what nobody is left to need: the whole tree, or what was `theirs` and no other's, with
    all that was said after it. Messages that nobody ever stood on stay with those that are left.
    """
    others = [row["id"] for row in db.execute("SELECT id FROM threads WHERE tree = ?", (tree,))]
    if not others:
        db.execute("INSERT OR IGNORE INTO gone SELECT id FROM nodes WHERE tree = ?", (tree,))
        return
    needed = set().union(*(_stood_on(db, each) for each in others))
    alone = {row["id"] for row in db.execute("SELECT id FROM nodes WHERE tree = ?", (tree,))} & theirs
    db.executemany("INSERT OR IGNORE INTO gone VALUES (?)", [(each,) for each in alone - needed])
    db.execute(_HALF_MADE, (tree,))
    db.execute(_UNDER)


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
