"""Messages: a parent-linked tree, its token ids per coding. Runs on the database thread.

A coding is a tokenizer and a template, "<tokenizer id>/<template>": the ids of a message are kept for each
coding it was ever fed in, and the ids of one are never touched when another is added.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.library import index, rows, sampled, steps, threads
from rwkv_chat.library.database import transaction
from rwkv_chat.library.errors import NodeMissing, ThreadMissing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from engine.types import SamplingParams, TokenIds, Usage
    from rwkv_chat.library.sampled import Earlier
    from rwkv_chat.library.steps import Kind
    from rwkv_chat.transcript import Node, NodeKind, NodeStatus, Role, Thread


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A message as read for one coding.

    Attributes:
        tail: text of a reply that was saved before the tokens it belongs to were complete: the end of
            the reply's raw text that `node.tokens` doesn't cover ("" for all but cut replies).
        drawn: all that was drawn of a cut reply, where that is not what would be remembered of it. Of a reply
            that came to its end it is kept for whoever looks at its tokens: see `as_drawn`.
    """

    node: Node
    tail: str = ""
    drawn: TokenIds = ()


@dataclass(frozen=True, slots=True)
class Coded:
    """The token ids of one message in one coding, as fed, and the chain's key after them."""

    node: str
    tokens: TokenIds
    prefix: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as far as it is known: written again and again while it grows, last with its end.

    Attributes:
        tokens, tail: together they are what the model will remember of it: all that it wrote, or the answer
            alone.
        drawn: all that was drawn of it so far, where that is not what `tokens` would go on from.
        prefix: the chain's key after `tokens`; None while growing.
        mode: the think mode that it was asked for in.
        origin: id of the cut reply that it goes on from; that one is hidden once all of it is in here.
        only_from_parent: the tip moves to it only if it stands at the parent (one of several replies).
        earlier: other params that its first tokens were drawn with (see `GenerateRequest.earlier`).
        usual, counted: see `sampled.Drawn`; None: not known, all.
        thought_seconds: as of `Node`.
    """

    id: str
    parent: str | None
    text: str
    reasoning: str
    status: NodeStatus
    coding: str
    tokens: TokenIds
    tail: str = ""
    drawn: TokenIds = ()
    prefix: str | None = None
    model: str = ""
    template: str = ""
    seed: int | None = None
    params: SamplingParams | None = None
    usage: Usage | None = None
    mode: str = ""
    origin: str | None = None
    only_from_parent: bool = False
    earlier: Earlier = ()
    usual: SamplingParams | None = None
    counted: int | None = None
    thought_seconds: float = 0.0


# from `tip` up to the root, or (`memory`) to where a conversation begins anew
UP = """
WITH RECURSIVE path (id, parent, depth, ended) AS (
    SELECT id, parent, 0, fresh AND :memory FROM nodes WHERE id = :tip
    UNION ALL
    SELECT nodes.id, nodes.parent, path.depth + 1, nodes.fresh AND :memory
    FROM nodes JOIN path ON nodes.id = path.parent
    WHERE path.depth < :limit AND NOT path.ended
)
"""
_PATH = f"""{UP}
SELECT nodes.*, node_tokens.tokens, node_tokens.prefix, node_tokens.tail, node_tokens.drawn,
path.depth
FROM path JOIN nodes ON nodes.id = path.id
LEFT JOIN node_tokens ON node_tokens.node = nodes.id AND node_tokens.coding = :coding
ORDER BY path.depth DESC
"""  # noqa: S608  of texts in this file alone


def path(db: sqlite3.Connection, tip: str | None, coding: str = "") -> tuple[StoredNode, ...]:
    """The messages from the root to `tip`, with their ids in `coding` where there are any."""
    return _path(db, tip, coding, memory=False)


def memory(db: sqlite3.Connection, tip: str | None, coding: str) -> tuple[StoredNode, ...]:
    """The end of the path to `tip` that a model knows there: from the last fresh message on."""
    return _path(db, tip, coding, memory=True)


def _path(db: sqlite3.Connection, tip: str | None, coding: str, *, memory: bool) -> tuple[StoredNode, ...]:
    if tip is None:
        return ()
    limit = db.execute("SELECT max(rowid) FROM nodes").fetchone()[0]  # ends a loop that damage might make
    found = db.execute(_PATH, {"tip": tip, "coding": coding, "limit": limit, "memory": memory})
    upwards, seen = [], set()
    for row in reversed(found.fetchall()):
        if row["id"] in seen:
            break
        seen.add(row["id"])
        upwards.append(stored_node(row))
    return tuple(reversed(upwards))


def stored_node(row: sqlite3.Row) -> StoredNode:
    """A row of a message with what `node_tokens` has of it."""
    drawn = None if rows.ended(row) else rows.unpack(rows.field(row, "drawn"))
    return StoredNode(rows.node(row), rows.text(row, "tail"), drawn or ())


def as_drawn(db: sqlite3.Connection, node: str, coding: str) -> TokenIds:
    """All that was drawn of a reply whose thoughts are not remembered; () where that was not kept."""
    kept = "SELECT drawn FROM node_tokens WHERE node = ? AND coding = ?"
    row = db.execute(kept, (node, coding)).fetchone()
    return () if row is None else rows.unpack(rows.field(row, "drawn")) or ()


def up(db: sqlite3.Connection, node: str | None) -> Iterator[Node]:
    """A message, the one before it, and so on: for those who need only the end of a path."""
    seen: set[str] = set()  # ends a loop that damage might make
    while node is not None and node not in seen:
        seen.add(node)
        row = db.execute("SELECT * FROM nodes WHERE id = ?", (node,)).fetchone()
        if row is None:
            return
        yield (found := rows.node(row))
        node = found.parent


_TIP = "SELECT nodes.id FROM threads JOIN nodes ON nodes.id = threads.tip WHERE threads.id = ?"
_NEWEST = (
    "SELECT nodes.id FROM threads JOIN nodes ON nodes.tree = threads.tree "
    "WHERE threads.id = ? AND threads.tip IS NOT NULL ORDER BY nodes.created DESC, nodes.rowid DESC LIMIT 1"
)


def tip(db: sqlite3.Connection, thread: str) -> str | None:
    """The message where a thread stands; should that be lost (damage), the newest of its tree."""
    for query in (_TIP, _NEWEST):
        if (found := db.execute(query, (thread,)).fetchone()) is not None:
            return rows.reference(found, "id")
    return None


def get(db: sqlite3.Connection, node: str) -> Node:
    """Raises: NodeMissing."""
    row = db.execute("SELECT * FROM nodes WHERE id = ?", (node,)).fetchone()
    if row is None:
        raise NodeMissing(node)
    return rows.node(row)


def siblings(db: sqlite3.Connection, node: str) -> tuple[Node, ...]:
    """The alternatives of one message (itself too), oldest first; those that are deleted left out."""
    found = db.execute(
        "SELECT * FROM nodes WHERE parent IS (SELECT parent FROM nodes WHERE id = :id) AND tree = "
        "(SELECT tree FROM nodes WHERE id = :id) AND (deleted IS NULL OR id = :id) ORDER BY created, rowid",
        {"id": node},
    )
    return tuple(rows.node(row) for row in found)


def append_user(
    db: sqlite3.Connection, thread: str, text: str, title: str, *, create: bool = False, system: str = ""
) -> tuple[Thread, Node]:
    """Commit a person's message at the thread's tip and move the tip; `create` makes the thread first.

    An empty title is filled in from `title`; `system` goes before the first message of all. Raises:
    ThreadMissing.
    """
    with transaction(db):
        target = threads.create(db, thread=thread) if create else threads.get(db, thread)
        last = tip(db, target.id)
        if last is None and system.strip():
            last = put(db, target.id, None, "system", system)
        node = put(db, target.id, last, "user", text)
        stand(db, target.id, node, "said", last)
        if not target.title.strip():
            threads.rename(db, target.id, title)
    return threads.get(db, target.id), get(db, node)


def stand(db: sqlite3.Connection, thread: str, node: str, kind: Kind, before: str | None) -> None:
    """A person wrote `node` where the tip stood at `before`: the tip moves there."""
    threads.move_tip(db, thread, node)
    threads.restore(db, thread)  # to speak in a deleted conversation brings it back
    steps.record(db, thread, kind, before, node)


def put(
    db: sqlite3.Connection,
    thread: str,
    parent: str | None,
    role: Role,
    text: str,
    *,
    kind: NodeKind = "",
    origin: str | None = None,
    fresh: bool = False,
    rest: str = "",
) -> str:
    """Write a message that a person wrote; its id. The tip stays."""
    node = threads.new_id()
    db.execute(
        "INSERT INTO nodes (id, tree, parent, role, text, kind, origin, fresh, rest, created) "
        "SELECT ?, tree, ?, ?, ?, ?, ?, ?, ?, ? FROM threads WHERE id = ?",
        (node, parent, role, text, kind, origin, int(fresh), rest, time.time(), thread),
    )
    index.add(db, node)
    return node


_MAY_GROW = (
    "SELECT 1 FROM nodes WHERE id = :id AND status = 'growing' "
    "AND NOT EXISTS (SELECT 1 FROM nodes AS next WHERE next.parent = :id)"
)


def save_tokens(db: sqlite3.Connection, coding: str, coded: tuple[Coded, ...]) -> None:
    """Commit the ids of messages in a coding; the ids of other codings stay. Those of a reply that may still
    be growing are its writer's, until something follows it.
    """
    with transaction(db):
        for each in coded:
            if db.execute(_MAY_GROW, {"id": each.node}).fetchone() is None:
                _save_tokens(db, coding, each)


def _save_tokens(db: sqlite3.Connection, coding: str, coded: Coded) -> None:
    db.execute(
        "INSERT INTO node_tokens (node, coding, tokens, prefix, tail) VALUES (?, ?, ?, ?, '') "
        "ON CONFLICT (node, coding) DO UPDATE "
        "SET tokens = excluded.tokens, prefix = excluded.prefix, tail = ''",
        (coded.node, coding, rows.pack(coded.tokens), coded.prefix),
    )


def save_reply(db: sqlite3.Connection, thread: str, reply: Reply) -> tuple[Thread, Node]:
    """Commit a reply as far as it is known and point the thread at it.

    A text is only ever replaced by itself or a longer one that begins with it: should less arrive, what
    stands is kept. The tip moves at the first write, so that what was shown is there after a crash. Where
    something was said after it meanwhile, in another conversation of its tree, it stays as that one knows
    it, and grows on as an alternative beside it: the id that comes back is then another one.
    """
    with transaction(db):
        existing = db.execute("SELECT * FROM nodes WHERE id = ?", (reply.id,)).fetchone()
        if existing is not None and _is_taken_up(db, reply):
            before, reply, existing = reply.id, replace(reply, id=threads.new_id()), None
            _insert_reply(db, thread, reply)
            _take_over(db, thread, before, reply.id)
        elif existing is None:
            _insert_reply(db, thread, reply)
            _stand_at_reply(db, thread, reply)
        elif _grows(existing, reply):
            _update_reply(db, reply)
        if reply.origin is not None and reply.prefix is not None:
            _hide_beginning(db, thread, reply, reply.origin)
    kept = get(db, reply.id)
    return threads.get(db, thread), replace(kept, tokens=reply.tokens, prefix=reply.prefix)


def _stand_at_reply(db: sqlite3.Connection, thread: str, reply: Reply) -> None:
    before = tip(db, thread)
    threads.uncover(db, reply.id)
    if not reply.only_from_parent or before == reply.parent:
        threads.move_tip(db, thread, reply.id)
        steps.replied(db, thread, reply.parent, before, reply.id)


def _is_taken_up(db: sqlite3.Connection, reply: Reply) -> bool:
    """Something follows a reply that goes on from other tokens than it has now."""
    followed = "SELECT 1 FROM nodes WHERE parent = ?"
    same = "SELECT 1 FROM node_tokens WHERE (node, coding, tokens, tail) = (?, ?, ?, ?)"
    if db.execute(followed, (reply.id,)).fetchone() is None:
        return False
    now = (reply.id, reply.coding, rows.pack(reply.tokens), reply.tail)
    return db.execute(same, now).fetchone() is None


def _take_over(db: sqlite3.Connection, thread: str, before: str, reply: str) -> None:
    """Where the thread stood at the reply as it was `before`, or came to it, it now does at `reply`."""
    db.execute("UPDATE steps SET after = ? WHERE thread = ? AND after = ?", (reply, thread, before))
    db.execute("UPDATE steps SET before = ? WHERE thread = ? AND before = ?", (reply, thread, before))
    if tip(db, thread) == before:
        threads.move_tip(db, thread, reply)


def _hide_beginning(db: sqlite3.Connection, thread: str, reply: Reply, cut: str) -> None:
    """A cut reply of which every character stands in `reply` too is an alternative no more, unless
    something follows it or another conversation stands there.
    """
    old = get(db, cut).message
    whole = reply.text.startswith(old.text.rstrip("\ufffd")) and reply.reasoning.startswith(old.reasoning)
    used = db.execute(
        "SELECT 1 FROM nodes WHERE parent = :cut AND deleted IS NULL "
        "UNION SELECT 1 FROM threads WHERE tip = :cut AND id <> :thread "
        "UNION SELECT 1 FROM nodes WHERE id = :cut AND (bookmark IS NOT NULL OR deleted IS NOT NULL)",
        {"cut": cut, "thread": thread},
    ).fetchone()
    if whole and used is None:
        index.remove(db, (cut,))
        db.execute("UPDATE nodes SET deleted = ? WHERE id = ?", (time.time(), cut))


def _grows(existing: sqlite3.Row, reply: Reply) -> bool:
    old = rows.text(existing, "text"), rows.text(existing, "reasoning")
    return reply.text.startswith(old[0]) and reply.reasoning.startswith(old[1])


def _insert_reply(db: sqlite3.Connection, thread: str, reply: Reply) -> None:
    made = db.execute(
        "INSERT INTO nodes (id, tree, parent, role, text, reasoning, status, model, template, mode, seed, "
        "params, usage, origin, rest, created) "
        "SELECT ?, tree, ?, 'assistant', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "coalesce((SELECT rest FROM nodes WHERE id = ?), ''), ? FROM threads WHERE id = ?",
        (
            *(reply.id, reply.parent, reply.text, reply.reasoning, reply.status, reply.model, reply.template),
            *(
                reply.mode,
                reply.seed,
                _sampling(reply),
                _usage(reply),
                reply.origin,
                reply.parent,
            ),
            *(time.time(), thread),
        ),
    )
    if made.rowcount != 1:
        raise ThreadMissing(thread)
    index.add(db, reply.id)
    _write_reply_tokens(db, reply)


def _update_reply(db: sqlite3.Connection, reply: Reply) -> None:
    with index.changing(db, reply.id):
        db.execute(
            "UPDATE nodes SET text = ?, reasoning = ?, status = ?, seed = ?, params = ?, usage = ? "
            "WHERE id = ?",
            (
                *(reply.text, reply.reasoning, reply.status, reply.seed),
                *(_sampling(reply), _usage(reply), reply.id),
            ),
        )
    _write_reply_tokens(db, reply)


def _sampling(reply: Reply) -> str | None:
    return sampled.to_text(reply.params, reply.earlier, reply.usual, reply.counted)


def _write_reply_tokens(db: sqlite3.Connection, reply: Reply) -> None:
    db.execute(
        "INSERT INTO node_tokens (node, coding, tokens, prefix, tail, drawn) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (node, coding) DO UPDATE SET tokens = excluded.tokens, prefix = excluded.prefix, "
        "tail = excluded.tail, drawn = excluded.drawn",
        (
            *(reply.id, reply.coding, rows.pack(reply.tokens), reply.prefix, reply.tail),
            rows.pack(reply.drawn) if reply.drawn else None,
        ),
    )


def _usage(reply: Reply) -> str | None:
    values = {} if reply.usage is None else asdict(reply.usage)
    values |= {rows.THOUGHT: reply.thought_seconds} if reply.thought_seconds else {}
    return json.dumps(values, ensure_ascii=False) if values else None
