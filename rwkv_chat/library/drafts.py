"""What was typed: messages that are not sent yet, one per conversation, and sent ones, to be called back.

Plain functions for the database thread. A draft goes with its conversation: what is erased takes its draft
along. Sent messages are looked up where they are kept, and nowhere else: what is erased is not called back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import rows
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3

RECENT = 20_000  # messages among which the last ones that were typed are looked for


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is not sent.

    Attributes:
        text: as it stands in the box.
        folded: the texts that places of it stand for, by the words that are shown there.
        queued: a message that waits for the end of a reply.
    """

    text: str = ""
    folded: tuple[tuple[str, str], ...] = ()
    queued: str = ""


def every(db: sqlite3.Connection) -> dict[str | None, Draft]:
    """All drafts by their conversation; None for the new one."""
    return {row["thread"]: _draft(row) for row in db.execute("SELECT * FROM drafts")}


def keep(db: sqlite3.Connection, thread: str | None, draft: Draft) -> bool:
    """Put a draft in the place of the last one; an empty one is none. False where there is no such
    conversation (yet).
    """
    with transaction(db):
        db.execute("DELETE FROM drafts WHERE thread IS ?", (thread,))
        if draft == Draft():
            return True
        there = db.execute("SELECT 1 FROM threads WHERE id = ?", (thread,)).fetchone()
        if thread is not None and there is None:
            return False
        values = thread, draft.text, rows.json_of(draft.folded), draft.queued, time.time()
        db.execute(
            "INSERT INTO drafts (thread, text, folded, queued, changed) VALUES (?, ?, ?, ?, ?)", values
        )
    return True


def sent(db: sqlite3.Connection, limit: int) -> tuple[str, ...]:
    """The last messages that were typed in chats, newest first, each once; none of a conversation that was
    imported or is in the trash.
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
AND role = 'user' AND kind = '' AND deleted IS NULL
AND tree IN (SELECT tree FROM threads WHERE kind = 'chat' AND deleted IS NULL)
AND tree NOT IN (SELECT tree FROM threads WHERE id IN (SELECT thread FROM imports))
ORDER BY rowid DESC
"""


def _draft(row: sqlite3.Row) -> Draft:
    """A damaged list of folded texts costs those texts, not the rest."""
    try:
        folded = tuple((str(name), str(text)) for name, text in rows.items(row, "folded"))
    except (ValueError, TypeError):
        folded = ()
    return Draft(rows.text(row, "text"), folded, rows.text(row, "queued"))
