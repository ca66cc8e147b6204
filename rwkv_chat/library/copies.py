"""Messages said again in another branch: after an edit, from a new beginning. Runs on the database thread.

A copy is a message of its own whose `origin` is the one that it repeats. It has the same token ids, so that
it is read as it was, unless its text changed, or it now stands first and did not, or the other way round.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rwkv_chat.library import branches, index, nodes, steps, threads
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from rwkv_chat.transcript import Node, Thread


def replace(db: sqlite3.Connection, thread: str, node: str, text: str) -> tuple[Thread, Node]:
    """Another text for a message, and after it copies of all that follows it; the tip moves to the last copy.

    Returns:
        The thread and the message with the new text. Raises: ThreadMissing, NodeMissing.
    """
    with transaction(db):
        branches.check(db, thread, node)
        before = nodes.tip(db, thread)
        sources = [nodes.get(db, each) for each in following(db, thread, node)]
        first = changed(db, thread, nodes.get(db, node), text)
        made = copy(db, thread, sources, first)
        stand(db, thread, made[-1] if made else first, before, "edited")
    return threads.get(db, thread), nodes.get(db, first)


_WAY = """
WITH RECURSIVE up (id, parent, depth) AS (
    SELECT id, parent, 0 FROM nodes WHERE id = :tip
    UNION ALL
    SELECT nodes.id, nodes.parent, up.depth + 1 FROM nodes JOIN up ON nodes.id = up.parent
    WHERE up.id <> :node AND up.depth < (SELECT max(rowid) FROM nodes)
)
SELECT id FROM up ORDER BY depth DESC
"""


def following(db: sqlite3.Connection, thread: str, node: str) -> tuple[str, ...]:
    """Ids of what follows a message on the way to the tip; in another branch, on the way to its newest
    end.
    """
    for find_tip in (lambda: nodes.tip(db, thread), lambda: branches.leaf(db, node)):
        way = tuple(row[0] for row in db.execute(_WAY, {"tip": find_tip(), "node": node}))
        if way[:1] == (node,):
            return way[1:]
    return ()


def edit(db: sqlite3.Connection, thread: str, node: str, text: str) -> tuple[Thread, Node]:
    """Another text for a message, beside the old one; the tip moves there.

    Raises:
        ThreadMissing, NodeMissing.
    """
    with transaction(db):
        branches.check(db, thread, node)
        before = nodes.tip(db, thread)
        new = changed(db, thread, nodes.get(db, node), text)
        stand(db, thread, new, before, "edited")
    return threads.get(db, thread), nodes.get(db, new)


def begin_anew(db: sqlite3.Connection, thread: str, sources: Sequence[Node]) -> Thread:
    """Memory begins anew: copies of `sources` after the tip, of which the first is fresh; the tip moves to
    the last one. Raises: ThreadMissing.
    """
    with transaction(db):
        before = nodes.tip(db, thread)
        if made := copy(db, thread, sources, before, fresh=True):
            stand(db, thread, made[-1], before, "refreshed")
    return threads.get(db, thread)


def stand(db: sqlite3.Connection, thread: str, node: str, before: str | None, kind: steps.Kind) -> None:
    """The tip moves to the last copy. To edit is to speak; to begin anew changes the memory alone."""
    if kind == "edited":
        nodes.stand(db, thread, node, kind, before)
    else:
        threads.move_tip(db, thread, node)
        steps.record(db, thread, kind, before, node)


def copy(
    db: sqlite3.Connection, thread: str, sources: Sequence[Node], parent: str | None, *, fresh: bool = False
) -> tuple[str, ...]:
    """Copies one after the other below `parent`; their ids. `fresh`: memory begins with the first."""
    made: list[str] = []
    for place, each in enumerate(sources):
        first = place == 0 and (fresh or parent is None)
        parent = _copied(db, thread, each, parent, fresh=place == 0 and fresh)
        if first == (each.parent is None or each.fresh):
            _copy_tokens(db, each.id, parent)
        made.append(parent)
    index.add(db, *made)
    return tuple(made)


def changed(db: sqlite3.Connection, thread: str, of: Node, text: str) -> str:
    """The same message with another text, beside it; its id."""
    said = of.message
    return nodes.put(
        db, thread, of.parent, said.role, text, kind=of.kind, origin=of.id, fresh=of.fresh, rest=of.rest
    )


def _copied(db: sqlite3.Connection, thread: str, of: Node, parent: str | None, *, fresh: bool) -> str:
    new = threads.new_id()
    db.execute(
        "INSERT INTO nodes (id, tree, parent, role, text, reasoning, status, model, template, mode, seed, "
        "params, usage, pinned, kind, rest, taken, origin, fresh, created) "
        "SELECT ?, (SELECT tree FROM threads WHERE id = ?), ?, role, text, reasoning, "
        "CASE status WHEN 'growing' THEN 'stopped' ELSE status END, model, template, mode, seed, params, "
        "NULL, pinned, kind, rest, taken, id, ?, ? FROM nodes WHERE id = ?",
        (new, thread, parent, int(fresh), time.time(), of.id),
    )
    return new


def _copy_tokens(db: sqlite3.Connection, of: str, new: str) -> None:
    db.execute(
        "INSERT INTO node_tokens (node, coding, tokens, tail) "
        "SELECT ?, coding, tokens, tail FROM node_tokens WHERE node = ?",
        (new, of),
    )
