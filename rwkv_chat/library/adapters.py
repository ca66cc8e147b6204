"""Adapters that were made or taken in here, and which conversation speaks with which. Runs on the database
thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import rows, states, threads
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.library.states import StoredPersona
    from rwkv_chat.transcript import Thread


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """A row of `adapters`.

    Attributes:
        id: the engine's, of what it does.  kind: "lora", "pissa", "miss" …
        file: name of its file or folder in the folder of adapters.
        model: SHA-256 of the weights that it was made for.  model_name: for people.
    """

    id: str
    kind: str
    file: str
    name: str = ""
    model: str = ""
    model_name: str = ""


def find(db: sqlite3.Connection, id_: str) -> StoredAdapter | None:
    row = db.execute("SELECT * FROM adapters WHERE id = ?", (id_,)).fetchone()
    return None if row is None else _adapter(row)


def listed(db: sqlite3.Connection) -> tuple[StoredAdapter, ...]:
    """Every one, oldest first."""
    return tuple(_adapter(row) for row in db.execute("SELECT * FROM adapters ORDER BY added, id"))


def unneeded(db: sqlite3.Connection) -> tuple[StoredAdapter, ...]:
    """Those that no persona names and no conversation speaks with."""
    found = db.execute(
        "SELECT * FROM adapters WHERE id NOT IN (SELECT adapter FROM persona_states) "
        "AND id NOT IN (SELECT adapter FROM threads)"
    )
    return tuple(_adapter(row) for row in found)


def add(db: sqlite3.Connection, made: StoredAdapter, persona: StoredPersona) -> StoredPersona:
    """Commit an adapter that lies in its folder, and the persona that names it."""
    db.execute(
        "INSERT OR IGNORE INTO adapters (id, kind, file, name, model, model_name, added) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made.id, made.kind, made.file, made.name, made.model, made.model_name, time.time()),
    )
    return states.add(db, persona)  # killed before: nobody needs the adapter, and it goes


def remove(db: sqlite3.Connection, id_: str) -> None:
    db.execute("DELETE FROM adapters WHERE id = ?", (id_,))


def speak_with(db: sqlite3.Connection, thread: str, adapter: str, initial: str) -> Thread:
    """The adapter that a conversation speaks with from now on, and the tuned state that its chain begins
    from; "" for none. Raises: ThreadMissing.
    """
    db.execute("UPDATE threads SET adapter = ?, initial = ? WHERE id = ?", (adapter, initial, thread))
    return threads.get(db, thread)


def let_go(db: sqlite3.Connection, adapter: str, initial: str) -> None:
    """No conversation speaks with this adapter or begins from this state any more."""
    with transaction(db):
        if adapter:
            db.execute("UPDATE threads SET adapter = '' WHERE adapter = ?", (adapter,))
        if initial:
            db.execute("UPDATE threads SET initial = '' WHERE initial = ?", (initial,))


def _adapter(row: sqlite3.Row) -> StoredAdapter:
    names = ("id", "kind", "file", "name", "model", "model_name")
    return StoredAdapter(*(rows.text(row, name) for name in names))
