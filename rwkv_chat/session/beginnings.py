"""What memory begins with when it begins anew. Runs on the database thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import copies, nodes
from rwkv_chat.session.errors import NothingToRefresh

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from rwkv_chat.transcript import Node, Thread

    Turn = tuple[Node, ...]


def refreshed(db: sqlite3.Connection, thread: str, number: int) -> tuple[Node, ...]:
    """The head, the pinned turns and the last `number` of turns. Raises: ThreadMissing, NothingToRefresh."""
    path = tuple(each.node for each in nodes.path(db, nodes.tip(db, thread)))
    head, turns = parted(path)
    last = turns[len(turns) - number :] if number else ()
    said = {_root(each, path) for turn in last for each in turn}
    pinned = [turn for turn in _newest(turns, path) if _is_pinned(turn) and _root(turn[0], path) not in said]
    return _some(thread, (*head, *_joined(pinned), *_joined(last)))


def last(db: sqlite3.Connection, thread: str, lengths: Sequence[int], tokens: int) -> tuple[Node, ...]:
    """The last turns, as many as fit in `tokens`, but one at least.

    Args:
        lengths: tokens of each message of the memory at the tip.

    Raises:
        ThreadMissing, NothingToRefresh.
    """
    path = tuple(each.node for each in nodes.memory(db, nodes.tip(db, thread), ""))
    _, turns = parted(path)
    size = {node.id: length for node, length in zip(path, lengths, strict=False)}
    chosen: list[Turn] = []
    left = tokens
    for turn in reversed(turns):
        left -= sum(size.get(each.id, 0) for each in turn)
        if chosen and left < 0:
            break
        chosen.insert(0, turn)
    return _some(thread, tuple(_joined(chosen)))


def parted(path: Sequence[Node]) -> tuple[tuple[Node, ...], tuple[Turn, ...]]:
    """What memory began with at the end of a path, and the turns of the whole path: a person's message with
    what was replied.
    """
    fresh = max((at for at, each in enumerate(path) if each.fresh), default=0)
    head: list[Node] = []
    for each in path[fresh:]:
        if each.message.role != "system":
            break
        head.append(each)
    turns: list[list[Node]] = []
    for each in path:
        if each.message.role == "user":
            turns.append([each])
        elif each.message.role == "assistant":
            turns[-1].append(each) if turns else turns.append([each])
    return tuple(head), tuple(map(tuple, turns))


def _newest(turns: Sequence[Turn], path: Sequence[Node]) -> list[Turn]:
    """Of a turn that was said again, its last form alone."""
    return list({_root(turn[0], path): turn for turn in turns}.values())


def _root(node: Node, path: Sequence[Node]) -> str:
    """The first form of a message."""
    known = {each.id: each for each in path}
    while node.origin in known:
        node = known[node.origin]
    return node.origin or node.id


def _is_pinned(turn: Turn) -> bool:
    return any(each.pinned for each in turn)


def _joined(turns: Sequence[Turn]) -> list[Node]:
    return [each for turn in turns for each in turn]


def _some(thread: str, sources: tuple[Node, ...]) -> tuple[Node, ...]:
    if not sources:
        raise NothingToRefresh(thread)
    return sources


def begin(db: sqlite3.Connection, thread: str, sources: Sequence[Node]) -> tuple[Thread, Node]:
    """Begin with these messages, all at once.

    Returns:
        The thread, and the message at its tip. Raises: ThreadMissing.
    """
    found = copies.begin_anew(db, thread, sources)
    return found, nodes.get(db, nodes.tip(db, thread) or "")
