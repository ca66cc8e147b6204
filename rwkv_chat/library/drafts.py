"""What was typed: texts that are not sent yet, of each window its own, and sent ones, to be called back.

Plain functions for the database thread. A draft goes with its conversation: what is erased takes its draft
along. Sent messages are looked up where they are kept, and nowhere else: what is erased is not called back.

No window touches the drafts of another one that is open. Those of a window that is gone belong to the next
one that asks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.library import rows
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

RECENT = 20_000  # messages among which the last ones that were typed are looked for
JUST_SENT = 1_000  # messages among which a draft is looked for that was sent in the last moment
SLACK = 2.0  # seconds by which a draft may have been written down after its message
PROMPT, WRITING = "", "text"  # places; every other one is the id of a message that is being changed


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is not sent.

    Attributes:
        text: as it stands in the box.
        folded: the texts that places of it stand for, by the words that are shown there.
        queued: a message that waits for the end of a reply, or is on its way.
    """

    text: str = ""
    folded: tuple[tuple[str, str], ...] = ()
    queued: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A draft of a window that is gone.

    Attributes:
        thread: its conversation; None for the new one.
        place: `PROMPT`, `WRITING` (a text that is written together), or the id of a message that was being
            changed.
    """

    thread: str | None
    place: str
    draft: Draft


def of_window(db: sqlite3.Connection, window: str) -> tuple[Left, ...]:
    """The drafts of one window, oldest first."""
    found = db.execute("SELECT * FROM drafts WHERE window = ? ORDER BY changed, rowid", (window,))
    return tuple(Left(rows.reference(row, "thread"), rows.text(row, "place"), _draft(row)) for row in found)


def keep(db: sqlite3.Connection, window: str, thread: str | None, draft: Draft, place: str = PROMPT) -> bool:
    """Put a draft in the place of the window's last one; an empty one is none. False where there is no such
    conversation (yet).
    """
    with transaction(db):
        db.execute(
            "DELETE FROM drafts WHERE thread IS ? AND place = ? AND window = ?", (thread, place, window)
        )
        if draft == Draft():
            return True
        there = db.execute("SELECT 1 FROM threads WHERE id = ?", (thread,)).fetchone()
        if thread is not None and there is None:
            return False
        folded = rows.storable(rows.json_of(draft.folded))
        values = rows.storable(draft.text), folded, rows.storable(draft.queued), time.time()
        db.execute(
            "INSERT INTO drafts (thread, place, window, text, folded, queued, changed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (thread, place, window, *values),
        )
    return True


def take_over(db: sqlite3.Connection, window: str, gone: Callable[[str], bool]) -> tuple[Left, ...]:
    """The drafts of windows that are `gone` become those of `window`, once, whoever else asks; oldest first.
    What was sent before its window could forget it is no draft.
    """
    if not _others(db, window, gone):
        return ()
    with transaction(db):  # another window may have been faster
        found: list[tuple[float, Left]] = []
        for other in _others(db, window, gone):
            for row in db.execute("SELECT rowid, * FROM drafts WHERE window = ?", (other,)).fetchall():
                left = _unsent(db, row)
                if left is None:
                    db.execute("DELETE FROM drafts WHERE rowid = ?", (row["rowid"],))
                else:
                    found.append((rows.number(row, "changed"), left))
            db.execute("UPDATE drafts SET window = ? WHERE window = ?", (window, other))
    return tuple(left for _, left in sorted(found, key=lambda each: each[0]))


def _others(db: sqlite3.Connection, window: str, gone: Callable[[str], bool]) -> list[str]:
    found = db.execute("SELECT DISTINCT window FROM drafts WHERE window <> ?", (window,))
    return [each for each in [rows.text(row, "window") for row in found] if gone(each)]


def _unsent(db: sqlite3.Connection, row: sqlite3.Row) -> Left | None:
    """What of a draft was not sent; None where all of it was."""
    thread, draft = rows.reference(row, "thread"), _draft(row)
    since = rows.number(row, "changed") - SLACK
    if rows.text(row, "place") == PROMPT:
        if _was_sent(db, thread, _whole(draft), since):
            draft = replace(draft, text="", folded=())
        if _was_sent(db, thread, draft.queued, since):
            draft = replace(draft, queued="")
    return None if draft == Draft() else Left(thread, rows.text(row, "place"), draft)


def _whole(draft: Draft) -> str:
    """As it would be sent."""
    text = draft.text
    for mark, folded in draft.folded:
        text = text.replace(mark, folded)
    return text.rstrip().lstrip("\n")


def _was_sent(db: sqlite3.Connection, thread: str | None, text: str, since: float) -> bool:
    values = {"text": text, "since": since, "recent": JUST_SENT, "thread": thread}
    return bool(text) and db.execute(_WAS_SENT, values).fetchone() is not None


_WAS_SENT = """
SELECT 1 FROM nodes WHERE rowid > (SELECT coalesce(max(rowid), 0) FROM nodes) - :recent
AND role = 'user' AND created >= :since AND text = :text
AND (:thread IS NULL OR tree = (SELECT tree FROM threads WHERE id = :thread))
"""


def sent(db: sqlite3.Connection, limit: int) -> tuple[str, ...]:
    """The last messages that were typed in chats, newest first, each once; none that was imported, or whose
    conversation is in the trash.
    """
    found = (rows.text(row, "text") for row in db.execute(_SENT, {"recent": RECENT}))
    kept: dict[str, None] = {}
    for each in found:
        if each.strip():
            kept.setdefault(each)
        if len(kept) == limit:
            break
    return tuple(kept)


_SENT = """
SELECT text FROM nodes
WHERE rowid > (SELECT coalesce(max(rowid), 0) FROM nodes) - :recent
AND role = 'user' AND kind = '' AND deleted IS NULL AND NOT taken
AND tree IN (SELECT tree FROM threads WHERE kind = 'chat' AND deleted IS NULL)
ORDER BY rowid DESC
"""


def _draft(row: sqlite3.Row) -> Draft:
    """A damaged list of folded texts costs those texts, not the rest."""
    try:
        folded = tuple((str(name), str(text)) for name, text in rows.items(row, "folded"))
    except (ValueError, TypeError):
        folded = ()
    return Draft(rows.text(row, "text"), folded, rows.text(row, "queued"))
