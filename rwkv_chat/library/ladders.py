"""Where states may lie: the messages of a tree as ladders, and whose messages saved states belong to. Runs on
the database thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.types import Ladder
from rwkv_chat.library import rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

SHORT = 32  # digits of a prefix key by which files are named


class Owner(NamedTuple):
    """A tree that has a message at a saved state; `short` is the beginning of its key."""

    short: str
    tree: str


_RUNGS = (
    "SELECT nodes.id, nodes.parent, nodes.fresh, node_tokens.coding, node_tokens.prefix FROM nodes "
    "LEFT JOIN node_tokens ON node_tokens.node = nodes.id WHERE nodes.tree = ? "
    "ORDER BY nodes.created, nodes.rowid"
)
_TIPS = "SELECT tip, max(hold) AS hold FROM threads WHERE tree = ? AND deleted IS NULL GROUP BY tip"


def of_tree(db: sqlite3.Connection, tree: str) -> tuple[Ladder, ...]:
    """One ladder for each coding that messages of the tree were fed in; an empty one where none was."""
    parents: dict[str, str | None] = {}
    keys: dict[str, dict[str, str]] = {}
    for row in db.execute(_RUNGS, (tree,)):
        parents[row["id"]] = None if row["fresh"] else rows.reference(row, "parent")
        if (key := rows.reference(row, "prefix")) is not None:
            keys.setdefault(row["coding"], {})[row["id"]] = key
    tips = {row["tip"]: bool(row["hold"]) for row in db.execute(_TIPS, (tree,)) if row["tip"]}
    made = tuple(_ladder(f"{tree}/{coding}", parents, of, tips) for coding, of in sorted(keys.items()))
    return made or (Ladder(tree),)


def of_thread(db: sqlite3.Connection, thread: str) -> tuple[Ladder, ...]:
    """The ladders of a conversation's tree; () where it is gone."""
    found = db.execute("SELECT tree FROM threads WHERE id = ?", (thread,)).fetchone()
    return of_tree(db, found["tree"]) if found is not None else ()


def _ladder(name: str, parents: dict[str, str | None], keys: dict[str, str], tips: dict[str, bool]) -> Ladder:
    places: dict[str, int] = {}
    rungs: list[str] = []
    above: list[int] = []
    for node in keys:
        for each in reversed(_way(node, parents, places)):
            if each in keys:
                parent = _rung_above(each, parents, places)
                places[each] = len(rungs)
                rungs.append(keys[each])
                above.append(parent)
    stands = {each: _rung_at(each, parents, places) for each in tips}
    at = {each: rungs[place] for each, place in stands.items() if place >= 0}
    pinned = tuple(key for each, key in at.items() if tips[each])
    return Ladder(name, tuple(rungs), tuple(above), tuple(at.values()), pinned)


def _way(node: str, parents: dict[str, str | None], places: dict[str, int]) -> list[str]:
    """`node` and the messages before it that have no place yet; clocks may have gone backwards."""
    way: list[str] = []
    at: str | None = node
    while at is not None and at in parents and at not in places and len(way) <= len(parents):
        way.append(at)
        at = parents[at]
    return way


def _rung_at(node: str, parents: dict[str, str | None], places: dict[str, int]) -> int:
    return places[node] if node in places else _rung_above(node, parents, places)


def _rung_above(node: str, parents: dict[str, str | None], places: dict[str, int]) -> int:
    """The place of the nearest message before `node` that has one, −1 for none."""
    at = parents.get(node)
    for _ in range(len(parents)):
        if at is None or at in places:
            break
        at = parents.get(at)
    return places.get(at, -1) if at is not None else -1


# ------------------------------------------------------------------------------------------------ owners


def owners(db: sqlite3.Connection, shorts: Iterable[str]) -> tuple[Owner, ...]:
    """Whose messages these keys (their first digits) belong to; a key may have several owners or none."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS shorts (short TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM shorts")
    db.executemany("INSERT OR IGNORE INTO shorts VALUES (?)", [(each[:SHORT],) for each in shorts])
    found = db.execute(
        "SELECT DISTINCT shorts.short, nodes.tree FROM shorts CROSS JOIN node_tokens "
        "ON node_tokens.prefix >= shorts.short AND node_tokens.prefix < shorts.short || 'g' "
        "JOIN nodes ON nodes.id = node_tokens.node"
    ).fetchall()
    db.execute("DELETE FROM shorts")
    return tuple(Owner(row["short"], row["tree"]) for row in found)
