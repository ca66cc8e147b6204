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
        changed = _changed(db, thread, nodes.get(db, node), text)
        last = copy(db, thread, following(db, thread, node), changed)
        nodes.stand(db, thread, last or changed, "edited", before)
    return threads.get(db, thread), nodes.get(db, changed)


def following(db: sqlite3.Connection, thread: str, node: str) -> tuple[Node, ...]:
    """What follows a message on the way to the tip; in another branch, on the way to its newest end."""
    for tip in (nodes.tip(db, thread), branches.leaf(db, node)):
        after: list[Node] = []
        for each in nodes.up(db, tip):
            if each.id == node:
                return tuple(reversed(after))
            after.append(each)
    return ()


def edit(db: sqlite3.Connection, thread: str, node: str, text: str) -> tuple[Thread, Node]:
    """Another text for a message, beside the old one; the tip moves there.

    Raises:
        ThreadMissing, NodeMissing.
    """
    with transaction(db):
        branches.check(db, thread, node)
        before = nodes.tip(db, thread)
        changed = _changed(db, thread, nodes.get(db, node), text)
        nodes.stand(db, thread, changed, "edited", before)
    return threads.get(db, thread), nodes.get(db, changed)


def begin_anew(
    db: sqlite3.Connection, thread: str, sources: Sequence[Node], *, kind: steps.Kind = "refreshed"
) -> Thread:
    """Memory begins anew: copies of `sources` after the tip, of which the first is fresh; the tip moves to
    the last one. Raises: ThreadMissing.
    """
    with transaction(db):
        before = nodes.tip(db, thread)
        if (last := copy(db, thread, sources, before, fresh=True)) is not None:
            threads.move_tip(db, thread, last)
            steps.record(db, thread, kind, before, last)
    return threads.get(db, thread)


def copy(
    db: sqlite3.Connection, thread: str, sources: Sequence[Node], parent: str | None, *, fresh: bool = False
) -> str | None:
    """Copies one after the other below `parent`; the id of the last one. `fresh`: memory begins with the
    first.
    """
    for place, each in enumerate(sources):
        first = place == 0 and (fresh or parent is None)
        new = _copied(db, thread, each, parent, fresh=place == 0 and fresh)
        if first == (each.parent is None or each.fresh):
            _copy_tokens(db, each.id, new)
        parent = new
    return parent if sources else None


def _changed(db: sqlite3.Connection, thread: str, of: Node, text: str) -> str:
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
    index.add(db, new)
    return new


def _copy_tokens(db: sqlite3.Connection, of: str, new: str) -> None:
    db.execute(
        "INSERT INTO node_tokens (node, coding, tokens, tail) "
        "SELECT ?, coding, tokens, tail FROM node_tokens WHERE node = ?",
        (new, of),
    )
