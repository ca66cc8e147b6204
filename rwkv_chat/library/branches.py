"""Moving in the tree: other branches, deleted ones, bookmarks and pins, undo. Runs on the database thread.

Deleting hides: a branch's messages carry the time, leave the search, and are erased 30 days later. What
another conversation of the same tree stands on stays.
"""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import index, nodes, rows, steps, threads
from rwkv_chat.library.database import transaction
from rwkv_chat.library.errors import NodeMissing

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.library.steps import Kind
    from rwkv_chat.transcript import Node, Thread

_NUMBER = re.compile(r" \(\d+\)$")
_BRANCH = """
WITH RECURSIVE down (id) AS (
    SELECT id FROM nodes WHERE id = ?
    UNION SELECT nodes.id FROM nodes JOIN down ON nodes.parent = down.id
)
SELECT nodes.* FROM down JOIN nodes ON nodes.id = down.id
"""
_LEAF = """
WITH RECURSIVE down (id) AS (
    SELECT id FROM nodes WHERE id = ?
    UNION SELECT nodes.id FROM nodes JOIN down ON nodes.parent = down.id
)
SELECT nodes.id FROM down JOIN nodes ON nodes.id = down.id WHERE nodes.deleted IS NULL
AND NOT EXISTS (SELECT 1 FROM nodes AS next WHERE next.parent = nodes.id AND next.deleted IS NULL)
ORDER BY nodes.created DESC, nodes.rowid DESC LIMIT 1
"""
_UP = """
WITH RECURSIVE up (id, parent) AS (
    SELECT nodes.id, nodes.parent FROM threads JOIN nodes ON nodes.id = threads.tip
    WHERE threads.id <> :thread AND threads.tree = (SELECT tree FROM threads WHERE id = :thread)
    UNION SELECT nodes.id, nodes.parent FROM nodes JOIN up ON nodes.id = up.parent
)
SELECT id FROM up
"""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a branch.

    Attributes:
        messages: how many were deleted.
        kept: how many of it stay, since other conversations stand on them.
    """

    thread: Thread
    messages: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Undone:
    """A step that was taken back or done again.

    Attributes:
        kind: what it was.
        text: the message that a turn began with, for the prompt; "" for other steps.
    """

    thread: Thread
    kind: Kind
    text: str = ""


# ------------------------------------------------------------------------------------------------ moving


def go(db: sqlite3.Connection, thread: str, node: str | None, kind: Kind = "moved") -> Thread:
    """Point a conversation at another message of its tree. Raises: ThreadMissing, NodeMissing."""
    with transaction(db):
        check(db, thread, node)
        _move(db, thread, node, kind)
    return threads.get(db, thread)


def switch(db: sqlite3.Connection, thread: str, node: str) -> Thread:
    """Point a conversation at the newest end of the branch that begins with `node`. Raises: see `go`."""
    return go(db, thread, leaf(db, node))


def leaf(db: sqlite3.Connection, node: str) -> str:
    """The newest message under `node` that nothing follows; `node` itself where nothing does."""
    found = db.execute(_LEAF, (node,)).fetchone()
    return node if found is None else found[0]


def fork(db: sqlite3.Connection, thread: str, node: str, title: str = "") -> Thread:
    """Another conversation in the same tree, at `node`, spoken as `thread` is. Raises: see `go`."""
    new, now = threads.new_id(), time.time()
    with transaction(db):
        of = threads.get(db, thread)
        check(db, thread, node)
        db.execute(
            "INSERT INTO threads (id, tree, title, model, template, chosen_template, mode, keep_reasoning, "
            "persona, initial, adapter, sampling, kind, branched_from, created, updated) SELECT ?, tree, ?, "
            "model, template, chosen_template, mode, keep_reasoning, persona, initial, adapter, sampling, ?, "
            "id, ?, ? FROM threads WHERE id = ?",
            (new, title or _apart(db, of), "chat" if of.kind == "reading" else of.kind, now, now, thread),
        )
        threads.move_tip(db, new, node)
    return threads.get(db, new)


def _apart(db: sqlite3.Connection, of: Thread) -> str:
    """What tells a branch from the conversations that it stands beside: "Title (2)"; a chat that begins from
    a text may be called as the text is.
    """
    of_tree = "tree = (SELECT tree FROM threads WHERE id = ?)"
    query = f"SELECT title FROM threads WHERE kind <> 'reading' AND {of_tree}"  # noqa: S608  no value in it
    taken = {rows.text(row, "title") for row in db.execute(query, (of.id,))}
    plain = _NUMBER.sub("", of.title) if of.branched_from else of.title
    named = (f"{plain} ({number})" for number in itertools.count(2))
    return (
        next((each for each in itertools.chain([plain], named) if each not in taken), plain) if plain else ""
    )


def _move(db: sqlite3.Connection, thread: str, node: str | None, kind: Kind) -> None:
    before = nodes.tip(db, thread)
    if before != node:
        threads.move_tip(db, thread, node, touch=False)
        steps.record(db, thread, kind, before, node)


def check(db: sqlite3.Connection, thread: str, node: str | None) -> None:
    """Raises: ThreadMissing, NodeMissing (also where it stands in another tree)."""
    threads.get(db, thread)
    inside = "SELECT 1 FROM nodes WHERE id = ? AND tree = (SELECT tree FROM threads WHERE id = ?)"
    if node is not None and db.execute(inside, (node, thread)).fetchone() is None:
        raise NodeMissing(node)


# ------------------------------------------------------------------------------------------------ deleting


def delete(db: sqlite3.Connection, thread: str, node: str) -> Deleted:
    """Delete the branch that begins with `node`; a tip in it moves to a sibling, else to the message before.

    Raises: see `go`.
    """
    with transaction(db):
        check(db, thread, node)
        before = tip = nodes.tip(db, thread)
        inside, gone, kept = _hide(db, thread, node)
        if before in inside:
            tip = _beside(db, node)
            threads.move_tip(db, thread, tip, touch=False)
        steps.record(db, thread, "deleted", before, tip, node)
    return Deleted(threads.get(db, thread), len(gone), kept)


def _hide(db: sqlite3.Connection, thread: str, node: str) -> tuple[set[str], set[str], int]:
    """Delete what no other conversation stands on.

    Returns:
        Every message of the branch, those deleted now, and how many stay.
    """
    alive = {row["id"]: row["deleted"] is None for row in db.execute(_BRANCH, (node,))}
    others = {row["id"] for row in db.execute(_UP, {"thread": thread})}
    gone = {each for each in alive if alive[each] and each not in others}
    now = time.time()
    index.remove(db, gone)
    db.executemany("UPDATE nodes SET deleted = ? WHERE id = ?", [(now, each) for each in gone])
    return set(alive), gone, len(others & alive.keys())


def restore(db: sqlite3.Connection, thread: str, node: str) -> Thread:
    """Bring back what was deleted last of the branch that begins with `node`. Raises: ThreadMissing."""
    with transaction(db):
        _restore(db, node)
    return threads.get(db, thread)


def _restore(db: sqlite3.Connection, node: str) -> None:
    times = {row["id"]: row["deleted"] for row in db.execute(_BRANCH, (node,)) if row["deleted"] is not None}
    threads.revive(db, [each for each in times if times[each] == max(times.values())])


def _beside(db: sqlite3.Connection, node: str) -> str | None:
    """Where a tip goes whose branch is deleted."""
    others = [each.id for each in nodes.siblings(db, node) if each.id != node]
    return leaf(db, others[-1]) if others else nodes.get(db, node).parent


# ------------------------------------------------------------------------------------------------ undoing


def undo(db: sqlite3.Connection, thread: str) -> Undone | None:
    """Take the last step back; None where there is none. In conversations that are older than the steps, or
    were imported, the last turn is one. Raises: ThreadMissing.
    """
    with transaction(db):
        threads.get(db, thread)
        tip = nodes.tip(db, thread)
        step = steps.to_undo(db, thread, tip)
        if step is None:
            asked = _last_question(db, tip)
            if asked is None:
                return None
            steps.undone(db, thread, None, asked.parent)
            threads.move_tip(db, thread, asked.parent, touch=False)
            return Undone(threads.get(db, thread), "said", asked.message.text)
        steps.undone(db, thread, step)
        if step.branch is not None:
            _restore(db, step.branch)
        threads.move_tip(db, thread, step.before, touch=False)
        text = _said(db, step.before, tip) if step.kind in ("said", "edited") else ""
    return Undone(threads.get(db, thread), step.kind, text)


def redo(db: sqlite3.Connection, thread: str) -> Undone | None:
    """Do the step again that was undone last; None where there is none. Raises: ThreadMissing."""
    with transaction(db):
        threads.get(db, thread)
        step = steps.to_redo(db, thread, nodes.tip(db, thread))
        if step is None or not _is_there(db, step.after):
            return None
        steps.redone(db, step)
        if step.branch is not None:
            _hide(db, thread, step.branch)
        threads.move_tip(db, thread, step.after, touch=False)
    return Undone(threads.get(db, thread), step.kind)


def _is_there(db: sqlite3.Connection, node: str | None) -> bool:
    return node is None or db.execute("SELECT 1 FROM nodes WHERE id = ?", (node,)).fetchone() is not None


def _last_question(db: sqlite3.Connection, tip: str | None) -> Node | None:
    return next((each for each in nodes.up(db, tip) if each.message.role == "user"), None)


def _said(db: sqlite3.Connection, before: str | None, tip: str | None) -> str:
    """What a person wrote where the way to `tip` leaves the way to `before`; "" where a model did."""
    there = {each.id for each in nodes.up(db, before)}
    parted = None
    for each in nodes.up(db, tip):
        if each.id in there:
            break
        parted = each
    return parted.message.text if parted is not None and parted.message.role == "user" else ""


# ------------------------------------------------------------------------------------------------ marks


def bookmark(db: sqlite3.Connection, node: str, name: str | None) -> Node:
    """Put a bookmark on a message; None takes it away. Raises: NodeMissing."""
    db.execute("UPDATE nodes SET bookmark = ? WHERE id = ?", (name, node))
    return nodes.get(db, node)


def pin(db: sqlite3.Connection, node: str, on: bool) -> Node:
    """Have a message's turn said again when the memory is refreshed, or not. Raises: NodeMissing."""
    db.execute("UPDATE nodes SET pinned = ? WHERE id = ?", (int(on), node))
    return nodes.get(db, node)


def bookmarks(db: sqlite3.Connection, thread: str) -> tuple[Node, ...]:
    """The bookmarked messages of a conversation's tree, oldest first. Raises: ThreadMissing."""
    threads.get(db, thread)
    found = db.execute(
        "SELECT * FROM nodes WHERE tree = (SELECT tree FROM threads WHERE id = ?) AND bookmark IS NOT NULL "
        "AND deleted IS NULL ORDER BY created, rowid",
        (thread,),
    )
    return tuple(rows.node(row) for row in found)
