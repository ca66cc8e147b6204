"""Conversations that come with their memory. Runs on the database thread."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import initials, nodes, rows, threads, trees

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from engine.types import TokenIds
    from rwkv_chat.library.initials import Initial
    from rwkv_chat.transcript import Node, Thread, Tree


def branch(db: sqlite3.Connection, thread: str, node: str | None = None) -> tuple[Thread, tuple[Node, ...]]:
    """A conversation and the messages up to `node`, or to where it stands. Raises: ThreadMissing."""
    found = threads.get(db, thread)
    return found, tuple(each.node for each in nodes.path(db, node or nodes.tip(db, thread)))


def unverified(db: sqlite3.Connection, chosen: Sequence[str]) -> frozenset[str]:
    """Of these conversations those that begin from a state that came with a file and was not confirmed."""
    query = (
        "SELECT 1 FROM threads JOIN initials ON initials.id = threads.initial "
        "WHERE threads.id = ? AND initials.kind = 'snapshot'"
    )
    return frozenset(each for each in chosen if db.execute(query, (each,)).fetchone())


def take_in(
    db: sqlite3.Connection,
    tree: Tree,
    coding: str,
    tokens: Sequence[TokenIds],
    sampling: Mapping[str, Any],
    initial: Initial | None,
) -> tuple[Thread, bool]:
    """A new conversation with the tokens of its last messages, that begins from `initial`; or the one that is
    the same, and False.
    """
    if (here := trees.known(db, tree)) is not None:
        return threads.get(db, here), False
    if initial is not None:
        initials.add(db, initial)
    thread = trees.add(db, tree)
    path = [each.node.id for each in nodes.path(db, nodes.tip(db, thread))]
    if tokens:
        db.executemany(
            "INSERT INTO node_tokens (node, coding, tokens) VALUES (?, ?, ?)",
            [
                (node, coding, rows.pack(each))
                for node, each in zip(path[-len(tokens) :], tokens, strict=True)
            ],
        )
    db.execute(
        "UPDATE threads SET initial = ?, sampling = ? WHERE id = ?",
        (initial.id if initial else "", json.dumps(dict(sampling)), thread),
    )
    return threads.get(db, thread), True
