"""Many messages copied a few at a time, so that others come in between. Runs on the database thread.

What is not whole yet is nobody's: its copies stand in the tree as deleted ones do, nothing shows them and no
search finds them, until the last step uncovers all of them at once. A program that dies leaves them so, and
they are erased with what was deleted long ago, at the first start an hour later.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.library import branches, copies, erase, index, nodes, rows, threads
from rwkv_chat.library.database import transaction
from rwkv_chat.library.errors import NodeMissing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from rwkv_chat.library.steps import Kind
    from rwkv_chat.transcript import Node, Thread

AT_ONCE = 100  # messages in one transaction: some hundredths of a second
HOUR = 3_600.0


@dataclass(frozen=True, slots=True)
class Copying:
    """Copies on their way.

    Attributes:
        left: ids of the messages that are still to be copied, in order.
        parent: what the next copy stands after.  made: ids of what was written so far, in order.
        kind: the step that this will be.  fresh: memory begins anew with the first copy.
    """

    thread: str
    left: tuple[str, ...]
    parent: str | None
    made: tuple[str, ...]
    kind: Kind
    fresh: bool = False


def replacing(db: sqlite3.Connection, thread: str, node: str, text: str) -> Copying:
    """Begin what `copies.replace` does. Raises: ThreadMissing, NodeMissing."""
    with transaction(db):
        branches.check(db, thread, node)
        left = copies.following(db, thread, node)
        changed = copies.changed(db, thread, nodes.get(db, node), text)
        _hide(db, (changed,))
    return Copying(thread, left, changed, (changed,), "edited")


def beginning_anew(db: sqlite3.Connection, thread: str, sources: Sequence[Node]) -> Copying:
    """Begin what `copies.begin_anew` does. Raises: ThreadMissing."""
    threads.get(db, thread)
    left = tuple(each.id for each in sources)
    return Copying(thread, left, nodes.tip(db, thread), (), "refreshed", fresh=True)


def go_on(db: sqlite3.Connection, work: Copying) -> Copying:
    """Copy the next few. Raises: ThreadMissing, NodeMissing: it was erased meanwhile."""
    now, later = work.left[:AT_ONCE], work.left[AT_ONCE:]
    with transaction(db):
        branches.check(db, work.thread, work.parent)
        sources = [nodes.get(db, each) for each in now]
        made = copies.copy(db, work.thread, sources, work.parent, fresh=work.fresh and not work.made)
        _hide(db, made)
    return replace(work, left=later, parent=made[-1] if made else work.parent, made=work.made + made)


def end(db: sqlite3.Connection, work: Copying) -> tuple[Thread, Node]:
    """Uncover what was copied; the tip moves to the last copy.

    Returns:
        The thread, and the message that was edited, else the one at the tip. Raises: see `go_on`.
    """
    with transaction(db):
        branches.check(db, work.thread, work.parent)
        before = nodes.tip(db, work.thread)
        _show(db, work)
        copies.stand(db, work.thread, work.made[-1], before, work.kind)
    told = work.made[0 if work.kind == "edited" else -1]
    return threads.get(db, work.thread), nodes.get(db, told)


def _hide(db: sqlite3.Connection, ids: Sequence[str]) -> None:
    """As if they had been deleted so long ago that they are erased in an hour."""
    then = time.time() - erase.TRASH_DAYS * erase.DAY + HOUR
    db.executemany("UPDATE nodes SET deleted = ? WHERE id = ?", [(then, each) for each in ids])
    index.hide(db, ids)


def _show(db: sqlite3.Connection, work: Copying) -> None:
    shown = db.executemany("UPDATE nodes SET deleted = NULL WHERE id = ?", [(each,) for each in work.made])
    if shown.rowcount < len(work.made):
        raise NodeMissing(work.made[0])
    row = db.execute("SELECT tree FROM threads WHERE id = ?", (work.thread,)).fetchone()
    index.show(db, work.made, rows.text(row, "tree"))
