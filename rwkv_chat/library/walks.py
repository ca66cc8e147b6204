"""Long conversations walked in parts: which messages there are first, then a few of them at a time, so that
never all of their texts and tokens are in memory. Runs on the database thread.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes, rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from rwkv_chat.library.nodes import StoredNode

_UP = f"""{nodes.UP}
SELECT id FROM path ORDER BY depth
"""  # noqa: S608  of texts in these files alone


def memory(db: sqlite3.Connection, tip: str | None) -> tuple[str, ...]:
    """The ids of what `nodes.memory` gives, in its order."""
    return _ids(db, tip, memory=True)


def length(db: sqlite3.Connection, tip: str | None) -> int:
    """How many messages stand on the path to `tip`, itself included."""
    return len(_ids(db, tip, memory=False))


def _ids(db: sqlite3.Connection, tip: str | None, *, memory: bool) -> tuple[str, ...]:
    if tip is None:
        return ()
    limit = db.execute("SELECT max(rowid) FROM nodes").fetchone()[0]  # ends a loop that damage might make
    found = db.execute(_UP, {"tip": tip, "limit": limit, "memory": memory})
    upwards = dict.fromkeys(rows.reference(row, "id") for row in found)  # what comes again has closed a loop
    return tuple(each for each in reversed(upwards) if each is not None)


_SOME = (
    "SELECT nodes.*, node_tokens.tokens, node_tokens.prefix, node_tokens.tail, node_tokens.drawn FROM nodes "
    "LEFT JOIN node_tokens ON node_tokens.node = nodes.id AND node_tokens.coding = :coding "
    "WHERE nodes.id IN (SELECT value FROM json_each(:ids))"
)


def some(db: sqlite3.Connection, ids: Sequence[str], coding: str) -> tuple[StoredNode, ...]:
    """These messages in this order, as `nodes.memory` gives them; one that is gone is left out."""
    found = db.execute(_SOME, {"coding": coding, "ids": json.dumps(ids)})
    known = {row["id"]: nodes.stored_node(row) for row in found}
    return tuple(known[each] for each in ids if each in known)
