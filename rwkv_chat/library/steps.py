"""What can be undone in a conversation: where its tip stood before and after. Runs on the database thread.

A step is one thing that a person did: a turn, another reply, an edit, a switch, a branch deleted. To undo it
moves the tip back; nothing is fed, since the state there is saved. What was undone can be done again until
something else is done.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from rwkv_chat.library import rows

if TYPE_CHECKING:
    import sqlite3

Kind = Literal["said", "again", "waits", "edited", "moved", "deleted", "refreshed", "written"]
_KINDS = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `branch`: the first message of the branch that it deleted, None where it deleted none."""

    id: int
    kind: Kind
    before: str | None
    after: str | None
    branch: str | None = None


def record(
    db: sqlite3.Connection,
    thread: str,
    kind: Kind,
    before: str | None,
    after: str | None,
    branch: str | None = None,
) -> None:
    """Something was done: what was undone before it can't be done again."""
    db.execute("DELETE FROM steps WHERE thread = ? AND undone > 0", (thread,))
    _insert(db, thread, kind, (before, after, branch), 0)


def replied(db: sqlite3.Connection, thread: str, asked: str | None, before: str | None, after: str) -> None:
    """The reply `after` to `asked` begins; the tip stood at `before`. A turn is one step: where the last step
    led to a message that waits for its reply, it now leads there.
    """
    newest = _one(db, "undone = 0 ORDER BY id DESC LIMIT 1", thread)
    if newest is None or before != asked or newest.after != asked or not _waits(db, newest):
        record(db, thread, "again", before, after)
        return
    db.execute("DELETE FROM steps WHERE thread = ? AND undone > 0", (thread,))
    kind = "again" if newest.kind == "waits" else newest.kind
    db.execute("UPDATE steps SET after = ?, kind = ? WHERE id = ?", (after, kind, newest.id))


def _waits(db: sqlite3.Connection, step: Step) -> bool:
    """Whether a step ended where a reply is awaited: of a text, also after what a model wrote."""
    role = db.execute("SELECT role FROM nodes WHERE id = ?", (step.after,)).fetchone()
    return step.kind == "waits" or (role is not None and role[0] == "user")


def to_undo(db: sqlite3.Connection, thread: str, tip: str | None) -> Step | None:
    """The last step that led to `tip` from a place that is still there; None where none is known."""
    there = "(before IS NULL OR before IN (SELECT id FROM nodes))"
    return _one(db, f"undone = 0 AND after IS ? AND {there} ORDER BY id DESC LIMIT 1", thread, tip)


def to_redo(db: sqlite3.Connection, thread: str, tip: str | None) -> Step | None:
    """The step that was undone last, where it began at `tip`."""
    found = _one(db, "undone > 0 ORDER BY undone DESC LIMIT 1", thread)
    return found if found is not None and found.before == tip else None


def undone(db: sqlite3.Connection, thread: str, step: Step | None, before: str | None = None) -> None:
    """Mark a step as undone; without one, `before` is where an unknown turn began that led here."""
    place = 1 + (db.execute("SELECT max(undone) FROM steps WHERE thread = ?", (thread,)).fetchone()[0] or 0)
    if step is not None:
        db.execute("UPDATE steps SET undone = ? WHERE id = ?", (place, step.id))
        return
    tip = db.execute("SELECT tip FROM threads WHERE id = ?", (thread,)).fetchone()[0]
    _insert(db, thread, "said", (before, tip, None), place)


def redone(db: sqlite3.Connection, step: Step) -> None:
    """Mark a step as done again."""
    db.execute("UPDATE steps SET undone = 0 WHERE id = ?", (step.id,))


def _insert(
    db: sqlite3.Connection, thread: str, kind: Kind, places: tuple[str | None, ...], undone: int
) -> None:
    db.execute(
        "INSERT INTO steps (thread, kind, before, after, branch, undone, made) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (thread, kind, *places, undone, time.time()),
    )


def _one(db: sqlite3.Connection, condition: str, thread: str, *values: str | None) -> Step | None:
    row = db.execute(f"SELECT * FROM steps WHERE thread = ? AND {condition}", (thread, *values)).fetchone()  # noqa: S608  our own condition
    if row is None:
        return None
    kind = rows.text(row, "kind")
    places = (rows.reference(row, name) for name in ("before", "after", "branch"))
    return Step(row["id"], cast("Kind", kind if kind in _KINDS else "moved"), *places)
