"""Are the messages' tokens and keys what they were when they were fed? Runs on the database thread, or on
a connection of its own.

A message's key is that of the message before it, taken on over its own tokens. Where a stored key is another,
either the key is damaged or the tokens are: what was read after the message, or a state that was saved under
the key, says which. A key is derived again; damaged tokens are given up, and made anew from the text when the
conversation is read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.prefix import EMPTY, extend
from rwkv_chat.library import rows
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Iterator, Sequence

FaultKind = Literal["key", "tokens"]
_KEY_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Fault:
    """A message whose tokens in one coding do not fit its key.

    Attributes:
        kind: what of the two is damaged.  thread: title of a conversation in whose tree it stands.
        right: the key that its tokens have; "" where the tokens are damaged.
    """

    node: str
    coding: str
    kind: FaultKind
    thread: str
    right: str = ""


@dataclass(slots=True)
class Count:
    """What `check` has found right: `fit` keys were derived again from their tokens."""

    fit: int = 0


_TREES = "SELECT DISTINCT tree FROM nodes ORDER BY tree"
_CODINGS = (
    "SELECT DISTINCT coding FROM node_tokens JOIN nodes ON nodes.id = node_tokens.node WHERE nodes.tree = ?"
)
_UNREAD = (
    "SELECT count(*) FROM nodes WHERE deleted IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM node_tokens WHERE node_tokens.node = nodes.id)"
)
_NODES = """
SELECT nodes.id, nodes.parent, nodes.fresh, fed.tokens, fed.prefix, fed.node IS NOT NULL AS known
FROM nodes LEFT JOIN node_tokens AS fed ON fed.node = nodes.id AND fed.coding = ?
WHERE nodes.tree = ?
"""
_TITLE = "SELECT title FROM threads WHERE tree = ? ORDER BY deleted IS NOT NULL, updated DESC LIMIT 1"


def check(
    db: sqlite3.Connection, held: Container[str] = frozenset(), count: Count | None = None
) -> Iterator[Fault]:
    """Every fault, tree by tree; one tree is in memory at a time.

    Args:
        held: the first 32 digits of the keys that states are saved under.
        count: is told what was right.
    """
    count = count or Count()
    for (tree,) in db.execute(_TREES).fetchall():
        title = db.execute(_TITLE, (tree,)).fetchone()
        for (coding,) in db.execute(_CODINGS, (tree,)).fetchall():
            for node, kind, right in _check(db, tree, coding, held, count):
                yield Fault(node, coding, kind, rows.text(title, "title") if title else "", right)


def unread(db: sqlite3.Connection) -> int:
    """Messages that have no tokens, since no model has read them."""
    return db.execute(_UNREAD).fetchone()[0]


def repair(db: sqlite3.Connection, fault: Fault) -> None:
    """Sets the key that the tokens have, or gives up tokens that are damaged."""
    where = (fault.node, fault.coding)
    with transaction(db):
        if fault.kind == "key":
            db.execute(
                "UPDATE node_tokens SET prefix = ? WHERE node = ? AND coding = ?", (fault.right, *where)
            )
        else:
            db.execute("DELETE FROM node_tokens WHERE node = ? AND coding = ?", where)


def _check(
    db: sqlite3.Connection, tree: str, coding: str, held: Container[str], count: Count
) -> Iterator[tuple[str, FaultKind, str]]:
    """From the first messages on: what follows a damaged key is held against the one that is right."""
    after: dict[str | None, list[sqlite3.Row]] = {}
    for row in db.execute(_NODES, (coding, tree)):
        after.setdefault(rows.reference(row, "parent"), []).append(row)
    waiting = [(row, EMPTY) for row in after.get(None, ())]
    while waiting:
        row, start = waiting.pop()
        name, following = rows.text(row, "id"), after.get(rows.text(row, "id"), ())
        begun = EMPTY if row["fresh"] else start
        kind, key = _judged(row, begun, following, held)
        if kind:
            yield name, kind, key if kind == "key" else ""
        elif begun and row["prefix"] is not None:
            count.fit += 1
        waiting += [(each, key) for each in following]


def _judged(
    row: sqlite3.Row, start: str, following: Sequence[sqlite3.Row], held: Container[str]
) -> tuple[FaultKind | None, str]:
    """What is wrong with one message, and the key to go on from ("" where nobody knows it)."""
    stored, tokens = rows.reference(row, "prefix") or "", rows.unpack(row["tokens"])
    stored = stored if _is_key(stored) else ""
    if not row["known"]:
        return None, ""
    if tokens is None:
        return "tokens", stored
    right = extend(tokens, start) if start else stored
    if row["prefix"] is None or right == stored:
        return None, right
    if stored and (stored[:32] in held or any(_follows(each, stored) for each in following)):
        return "tokens", stored
    return ("key", right) if right else (None, "")


def _follows(row: sqlite3.Row, prefix: str) -> bool:
    """What was read after a message went on from the key that it had then."""
    tokens = rows.unpack(row["tokens"])
    return tokens is not None and not row["fresh"] and extend(tokens, prefix) == rows.reference(row, "prefix")


def _is_key(text: str) -> bool:
    return len(text) == len(EMPTY) and _KEY_DIGITS.issuperset(text)
