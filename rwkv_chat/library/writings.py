"""Texts: what a writer typed and what a model wrote, one after the other. Runs on the database thread.

The text before the cursor is the way from the root to the tip, joined; what stands after the cursor is the
tip's `rest`, which no model reads. So undo, branches and alternatives of a text are those of the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes, threads
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.transcript import Node, Thread


@dataclass(frozen=True, slots=True)
class Writing:
    """A text.

    Attributes:
        before, after: what stands before and after the cursor.
    """

    thread: Thread
    before: str
    after: str = ""


def read(db: sqlite3.Connection, thread: str) -> Writing:
    """Raises: ThreadMissing."""
    found = threads.get(db, thread)
    path = [each.node for each in nodes.path(db, nodes.tip(db, thread))]
    return Writing(found, "".join(each.message.text for each in path), path[-1].rest if path else "")


def write(db: sqlite3.Connection, thread: str, before: str, after: str = "") -> tuple[Thread, Node]:
    """Commit a text as it was typed: what is the same up to a message's end stays, the rest is a new message
    after it. Nothing is written where nothing changed.

    Returns:
        The thread and the message at the cursor. Raises: ThreadMissing.
    """
    with transaction(db):
        threads.get(db, thread)
        tip = nodes.tip(db, thread)
        base, length = _same(db, tip, before)
        if base is None or length < len(before) or base.rest != after:
            parent = None if base is None else base.id
            node = nodes.put(db, thread, parent, "user", before[length:], rest=after)
            nodes.stand(db, thread, node, "written", tip)
        elif base.id != tip:
            node = base.id
            nodes.stand(db, thread, node, "written", tip)
        else:
            node = base.id
    return threads.get(db, thread), nodes.get(db, node)


def ahead(db: sqlite3.Connection, thread: str, before: str) -> tuple[Thread, str | None, str]:
    """What `write` would keep, and does not: the thread, the message that the new one would follow, and its
    text ("" for no new one). Raises: ThreadMissing.
    """
    found = threads.get(db, thread)
    base, length = _same(db, nodes.tip(db, thread), before)
    return found, None if base is None else base.id, before[length:]


def _same(db: sqlite3.Connection, tip: str | None, text: str) -> tuple[Node | None, int]:
    """The last message on the way to `tip` up to whose end the text is the same, and where that is."""
    base, length = None, 0
    for each in nodes.path(db, tip):
        end = length + len(each.node.message.text)
        if text[length:end] != each.node.message.text:
            break
        base, length = each.node, end
    return base, length
