"""What saved states are needed for, and whose they are. Runs on the database thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import ladders, nodes, threads

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from rwkv_chat.transcript import Node, Thread


@dataclass(frozen=True, slots=True)
class ChatUse:
    """What the states of one conversation take up.

    Attributes:
        thread: the newest conversation of its tree.  held: its state is never given up.
        states, nbytes: on the disk.  shared: bytes of them that serve other conversations, too, and count for
            each of these.
    """

    thread: str
    title: str
    states: int
    nbytes: int
    held: bool
    shared: int = 0


def memory(db: sqlite3.Connection, thread: str, node: str | None) -> tuple[Thread, tuple[Node, ...]]:
    """Raises: ThreadMissing."""
    found = threads.get(db, thread)
    return found, tuple(each.node for each in nodes.memory(db, node or nodes.tip(db, thread), ""))


def tree(db: sqlite3.Connection, thread: str) -> str:
    """Raises: ThreadMissing."""
    threads.get(db, thread)
    return db.execute("SELECT tree FROM threads WHERE id = ?", (thread,)).fetchone()["tree"]


def needed(db: sqlite3.Connection, prefixes: Sequence[str]) -> frozenset[str]:
    """Those that a message or another persona stands at."""
    query = (
        "SELECT 1 FROM node_tokens WHERE prefix = :prefix "
        "UNION ALL SELECT 1 FROM persona_states WHERE prefix = :prefix LIMIT 1"
    )
    return frozenset(each for each in prefixes if db.execute(query, {"prefix": each}).fetchone())


def chats(db: sqlite3.Connection, saved: Mapping[str, int]) -> tuple[tuple[ChatUse, ...], int]:
    """What each conversation's states take up, most bytes first; and the bytes that belong to none."""
    sizes: dict[str, list[int]] = {}
    for name, size in saved.items():
        sizes.setdefault(name[: ladders.SHORT], []).append(size)
    trees: dict[str, list[str]] = {}
    owners: Counter[str] = Counter()
    for short, owner in ladders.owners(db, sizes):
        trees.setdefault(owner, []).append(short)
        owners[short] += 1
    found: list[ChatUse] = []
    for of_tree, shorts in trees.items():
        states = [size for each in shorts for size in sizes[each]]
        shared = sum(size for each in shorts if owners[each] > 1 for size in sizes[each])
        if (use := _one_use(db, of_tree, states, shared)) is not None:
            found.append(use)
    other = sum(sum(of) for short, of in sizes.items() if short not in owners)
    return tuple(sorted(found, key=lambda each: -each.nbytes)), other


def _one_use(db: sqlite3.Connection, tree: str, sizes: Sequence[int], shared: int) -> ChatUse | None:
    row = db.execute(
        "SELECT id, title, (SELECT max(hold) FROM threads WHERE tree = :tree) AS held FROM threads "
        "WHERE tree = :tree ORDER BY deleted IS NOT NULL, updated DESC LIMIT 1",
        {"tree": tree},
    ).fetchone()
    if row is None:
        return None
    return ChatUse(row["id"], row["title"], len(sizes), sum(sizes), bool(row["held"]), shared)
