"""The search index, kept by the writes themselves in their own transactions. Runs on the database thread.

`search` is an FTS5 table without content of its own: `text` is the folded text of a message, `marks` names
its role, tree and model, so that filters are met inside the index. A document's id is the message's time in
milliseconds (the next free one), so the index's own order is by time. `search_docs` leads from it to the
message; row ids of `nodes` would not do, since VACUUM may change them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rwkv_chat.library import rows
from rwkv_chat.library.fold import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BATCH = 500  # messages in memory while the index is made
PAGES = 200  # of the index, merged in one go
TOGETHER = 100_000  # messages of one time stand one after the other: no free place is looked for
_LAST = 1 << 52
_HASH_BYTES = 16 << 20


def rebuild(db: sqlite3.Connection) -> int:
    """Make the index anew from the messages, oldest first, in bounded memory; call it in a transaction.

    Returns:
        How many messages are in it. A damaged page ends it early: what can be read is found.
    """
    db.execute("DELETE FROM search_docs")
    db.execute("DELETE FROM search_models")
    db.execute("INSERT INTO search (search) VALUES ('delete-all')")
    db.execute("INSERT INTO search (search, rank) VALUES ('hashsize', ?)", (_HASH_BYTES,))
    made, last = 0, None
    try:
        order = db.execute("SELECT rowid FROM nodes ORDER BY created, rowid")
        while batch := order.fetchmany(BATCH):
            for (row,) in batch:
                found = db.execute("SELECT * FROM nodes WHERE rowid = ?", (row,)).fetchone()
                if found is not None and (document := _add(db, found, last)) is not None:
                    made, last = made + 1, document
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
    return made


def add(db: sqlite3.Connection, *ids: str) -> None:
    """Index messages that were just written."""
    last = None
    with _spared(db):
        for node in ids:
            if (row := _row(db, node)) is not None:
                last = _add(db, row, last) or last


def hide(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Messages that are indexed, and that nobody is to find before `show`: they are in no tree."""
    with _spared(db):
        db.executemany("UPDATE search_docs SET tree = '' WHERE node = ?", [(each,) for each in ids])


def show(db: sqlite3.Connection, ids: Sequence[str], tree: str) -> None:
    """Messages of a tree that were hidden are found from now on."""
    with _spared(db):
        places = [(tree, each) for each in ids]
        shown = db.executemany("UPDATE search_docs SET tree = ? WHERE node = ?", places)
    if shown.rowcount < len(ids):
        add(db, *ids)  # the index was made anew meanwhile, without what was hidden


@contextmanager
def changing(db: sqlite3.Connection, node: str) -> Iterator[None]:
    """Around a change of a message's text: the old words leave the index, the new ones enter it."""
    before = _row(db, node)
    yield
    with _spared(db):
        after = _row(db, node)
        if before is None or after is None or _entry(before) == _entry(after):
            return
        document = _document(db, node)
        if document is None:
            _add(db, after)  # unless it is deleted
            return
        _take_out(db, document, before)
        _put_in(db, document, after)


def rename_model(db: sqlite3.Connection, old: str, new: str) -> None:
    """Call it before the messages of the model `old` become those of `new`."""
    with _spared(db):
        db.execute("INSERT OR IGNORE INTO search_models (model) VALUES (?)", (new,))
        for row in db.execute("SELECT * FROM nodes WHERE model = ?", (old,)).fetchall():
            if (document := _document(db, rows.text(row, "id"))) is not None:
                _take_out(db, document, row)
                _put_in(db, document, row, new)


def remove(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Take messages out before they are deleted."""
    with _spared(db):
        for node in tuple(ids):
            row, document = _row(db, node), _document(db, node)
            if row is not None and document is not None:
                _take_out(db, document, row)
                db.execute("DELETE FROM search_docs WHERE id = ?", (document,))


def settle(db: sqlite3.Connection, *, begin: bool = False) -> bool:
    """Merge a part of the index into one, so that nothing of what was erased stays in it; whether there is
    more to do. `begin` with the first of these calls. (FTS5's own `secure-delete` needs SQLite 3.42, and
    older ones could not read the file any more.)
    """
    before = db.total_changes
    try:
        db.execute("INSERT INTO search (search, rank) VALUES ('merge', ?)", (-PAGES if begin else PAGES,))
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        return False  # the next write makes it anew
    return begin or db.total_changes - before >= 2


def is_sound(db: sqlite3.Connection) -> bool:
    """Whether the index is whole and knows every message that is not deleted."""
    try:
        db.execute("INSERT INTO search (search) VALUES ('integrity-check')")
        missing = db.execute(
            "SELECT count(*) FROM nodes WHERE deleted IS NULL AND id NOT IN (SELECT node FROM search_docs)"
        ).fetchone()[0]
        extra = db.execute(
            "SELECT count(*) FROM search_docs WHERE tree <> '' AND node NOT IN "
            "(SELECT id FROM nodes WHERE deleted IS NULL)"
        ).fetchone()[0]
    except sqlite3.DatabaseError:
        return False
    return not missing and not extra


def mark(kind: str, value: str) -> str:
    """A token for `marks`: whatever the value holds, letters and digits."""
    return kind + hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=6).hexdigest()


def document_at(seconds: float) -> int:
    """The first document of a time, in seconds since the epoch."""
    return max(0, min(int(seconds * 1000), _LAST)) if seconds == seconds else 0


# ------------------------------------------------------------------------------------------------ one message


def _row(db: sqlite3.Connection, node: str) -> sqlite3.Row | None:
    return db.execute("SELECT * FROM nodes WHERE id = ?", (node,)).fetchone()


def _document(db: sqlite3.Connection, node: str) -> int | None:
    found = db.execute("SELECT id FROM search_docs WHERE node = ?", (node,)).fetchone()
    return None if found is None else found[0]


def _add(db: sqlite3.Connection, row: sqlite3.Row, last: int | None = None) -> int | None:
    """The message's document; None where it is deleted, or has one. `last`: of the message added before."""
    if rows.field(row, "deleted") is not None:
        return None
    document = document_at(rows.number(row, "created"))
    values = rows.text(row, "id"), rows.text(row, "tree")
    if last is not None and 0 <= last - document < TOGETHER:
        document = last + 1
    while db.execute("SELECT 1 FROM search_docs WHERE id = ?", (document,)).fetchone():
        document = _free_after(db, document)
    made = db.execute(
        "INSERT OR IGNORE INTO search_docs (id, node, tree) VALUES (?, ?, ?)", (document, *values)
    )
    if made.rowcount == 1:
        db.execute("INSERT OR IGNORE INTO search_models (model) VALUES (?)", (rows.text(row, "model"),))
        _put_in(db, document, row)
    return document if made.rowcount == 1 else None


def _free_after(db: sqlite3.Connection, document: int) -> int:
    """The first free id of a run of taken ones: many messages may have one time."""
    found = db.execute(
        "SELECT id + 1 FROM search_docs AS one WHERE id >= ? AND NOT EXISTS "
        "(SELECT 1 FROM search_docs WHERE id = one.id + 1) ORDER BY id LIMIT 1",
        (document,),
    ).fetchone()
    return found[0]


def _put_in(db: sqlite3.Connection, document: int, row: sqlite3.Row, model: str | None = None) -> None:
    values = (document, *_entry(row, model))
    db.execute("INSERT INTO search (rowid, text, marks) VALUES (?, ?, ?)", values)


def _take_out(db: sqlite3.Connection, document: int, row: sqlite3.Row) -> None:
    """FTS5 must be told what it was given."""
    db.execute(
        "INSERT INTO search (search, rowid, text, marks) VALUES ('delete', ?, ?, ?)",
        (document, *_entry(row)),
    )


def _entry(row: sqlite3.Row, model: str | None = None) -> tuple[str, str]:
    """What is stored of a message; `model` in place of its own."""
    model = rows.text(row, "model") if model is None else model
    marks = mark("r", rows.text(row, "role")), mark("t", rows.text(row, "tree")), mark("m", model)
    return fold(rows.text(row, "text")), " ".join(marks)


@contextmanager
def _spared(db: sqlite3.Connection) -> Iterator[None]:
    """A damaged index keeps nobody from writing: it is made anew at once, in the same transaction.

    The inner savepoint has FTS5 write what it holds back: else it would fail a later statement.
    """
    db.execute("SAVEPOINT indexing")
    try:
        yield
        db.execute("SAVEPOINT written")
        db.execute("RELEASE written")
    except BaseException as error:
        if db.in_transaction:  # a full disk may have ended it
            db.execute("ROLLBACK TO indexing")
            db.execute("RELEASE indexing")
        if not _is_damage(error):
            raise
        rebuild(db)
        return
    db.execute("RELEASE indexing")


def _is_damage(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT)
