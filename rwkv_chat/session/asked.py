"""Which message a reply is wanted to. Runs on the database thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.library import branches, nodes, sampled, threads
from rwkv_chat.session.errors import NothingToContinue, NothingToRegenerate, ReplyWhole
from rwkv_chat.session.wish import AsItWas

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.transcript import Node, Thread


def question(db: sqlite3.Connection, thread: str, node: str | None = None) -> tuple[Thread, Node]:
    """The message that `node` (the tip, if None) answers, or itself where it is one. Of a text: what the
    model went on from.

    Raises:
        ThreadMissing, NothingToRegenerate.
    """
    found = threads.get(db, thread)
    way = nodes.up(db, node or nodes.tip(db, thread))
    if found.kind == "text":
        last = next(way, None)
        asked = next(way, None) if last is not None and last.message.role == "assistant" else last
    else:
        asked = next((each for each in way if _is_question(each)), None)
    if asked is None:
        raise NothingToRegenerate(thread)
    return found, asked


def question_waits(db: sqlite3.Connection, thread: str, node: str | None = None) -> tuple[Thread, Node]:
    """The same, and the tip moves there: it goes on to the first reply that begins."""
    _, asked = question(db, thread, node)
    return branches.go(db, thread, asked.id, "waits"), asked


def cut_reply(db: sqlite3.Connection, thread: str) -> tuple[Thread, Node]:
    """The reply at the tip. Of a text, or of what a person wrote for the model, a whole one may go on too.

    Raises:
        ThreadMissing, NothingToContinue; ReplyWhole: its model has ended it.
    """
    found, tip = threads.get(db, thread), nodes.tip(db, thread)
    node = None if tip is None else nodes.get(db, tip)
    if node is None or node.message.role != "assistant":
        raise NothingToContinue(thread)
    if node.status == "complete" and node.seed is not None and found.kind != "text":
        raise ReplyWhole(thread)
    return found, node


def cut_by_crash(db: sqlite3.Connection, thread: str) -> AsItWas | None:
    """How a reply was sampled that grew when the program died; None where the tip is no such reply, or has
    nothing that could go on. Raises: ThreadMissing.
    """
    threads.get(db, thread)
    tip = nodes.tip(db, thread)
    node = None if tip is None else nodes.get(db, tip)
    if node is None or node.status != "growing":
        return None
    drawn = sampled.drawn(db, node.id)
    if (params := drawn.params) is None or not drawn.length or drawn.counted >= params.max_tokens:
        return None
    return AsItWas(replace(params, seed=node.seed), drawn.usual, drawn.counted)


def pending(db: sqlite3.Connection, thread: str) -> tuple[Thread, Node | None]:
    """The message at the tip that waits for its reply; None where there is no such. A text waits for none.

    Raises:
        ThreadMissing.
    """
    found, last = threads.get(db, thread), nodes.tip(db, thread)
    tip = nodes.get(db, last) if last is not None else None
    waits = tip is not None and _is_question(tip) and found.kind != "text"
    return found, tip if waits else None


def _is_question(node: Node) -> bool:
    return node.message.role == "user"
