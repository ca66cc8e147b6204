"""Conversations of other programs: taken in once, and what is new in a later export is added to them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rwkv_chat.library import threads, trees
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.transcript import Thread, Tree


def take(db: sqlite3.Connection, found: Tree) -> tuple[Thread, bool, int]:
    """Keep a conversation that is known by `found.thread.id` outside of here. One that is here already gets
    the messages that it lacks; nothing that is here changes, and what was deleted stays so.

    Returns:
        The conversation, whether it is new, and how many messages were added to one that is not.
    """
    mark = hashlib.blake2b(f"log\0{found.thread.id}".encode("utf-8", "replace"), digest_size=32).hexdigest()
    here = db.execute(
        "SELECT threads.id FROM imports JOIN threads ON threads.id = imports.thread "
        "WHERE digest = ? AND deleted IS NULL",
        (mark,),
    ).fetchone()
    if here is None:
        return threads.get(db, trees.add(db, found, mark)), True, 0
    with transaction(db):
        added = _fill(db, here[0], found)
    return threads.get(db, here[0]), False, added


def _fill(db: sqlite3.Connection, thread: str, found: Tree) -> int:
    """Add what a tree lacks; the thread moves on where it stood at the end of what was there."""
    tree, tip = db.execute("SELECT tree, tip FROM threads WHERE id = ?", (thread,)).fetchone()
    known = {
        (row["parent"], row["role"], row["text"], row["reasoning"]): row["id"]
        if row["deleted"] is None
        else ""
        for row in db.execute(
            "SELECT id, parent, role, text, reasoning, deleted FROM nodes WHERE tree = ?", (tree,)
        )
    }
    given: dict[str, str] = {}
    above: dict[str, str | None] = {}
    added = 0
    for node in found.nodes:
        parent = given.get(node.parent) if node.parent is not None else None
        if parent == "":  # what it follows was deleted
            given[node.id] = ""
            continue
        key = (parent, node.message.role, node.message.text, node.message.reasoning)
        if key not in known:
            given[node.id] = threads.new_id()
            trees.add_node(db, tree, given, node)
            added += 1
        given[node.id] = known.setdefault(key, given.get(node.id, ""))
        above[given[node.id]] = parent
    _go_on(db, thread, tip, above, given.get(found.thread.tip or "", ""))
    return added


def _go_on(db: sqlite3.Connection, thread: str, tip: str, above: dict[str, str | None], end: str) -> None:
    """To the new end, where the way to it leads over the place that the thread stands at."""
    at: str | None = end
    while at and at != tip:
        at = above.get(at)
    if at and end != tip:
        db.execute("UPDATE threads SET tip = ? WHERE id = ?", (end, thread))
