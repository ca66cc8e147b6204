"""States from outside that chains begin from. Runs on the database thread."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import rows
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Initial:
    """A state from outside that chains begin from.

    Attributes:
        kind: "tuned" (wkv states alone) or "snapshot" (a whole state, after the tokens named by `prefix`).
        files: their names in the folder of such states; a path of its own where it lies elsewhere.
        length: how many tokens `prefix` names.
        difference: see `PersonaState.difference`.
    """

    id: str
    kind: str
    files: tuple[str, ...]
    name: str = ""
    model: str = ""
    tier: str = ""
    prefix: str = ""
    length: int = 0
    difference: float | None = None
    added: float = 0.0


def get(db: sqlite3.Connection, id_: str) -> Initial | None:
    row = db.execute("SELECT * FROM initials WHERE id = ?", (id_,)).fetchone()
    return None if row is None else _initial(row)


def listed(db: sqlite3.Connection) -> tuple[Initial, ...]:
    """Every state from outside."""
    return tuple(_initial(row) for row in db.execute("SELECT * FROM initials ORDER BY added"))


def unneeded(db: sqlite3.Connection) -> tuple[Initial, ...]:
    """Those that neither a persona nor a conversation begins from."""
    found = db.execute(
        "SELECT * FROM initials WHERE id NOT IN (SELECT initial FROM persona_states) "
        "AND id NOT IN (SELECT initial FROM threads)"
    )
    return tuple(_initial(row) for row in found)


def add(db: sqlite3.Connection, made: Initial) -> None:
    with transaction(db):
        insert(db, made)


def insert(db: sqlite3.Connection, made: Initial) -> None:
    """The same inside a transaction."""
    db.execute(
        "INSERT OR IGNORE INTO initials (id, kind, file, name, model, tier, prefix, length, added) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(made.id, made.kind, rows.json_of(made.files), made.name, made.model, made.tier, made.prefix),
            *(made.length, time.time()),
        ),
    )


def remove(db: sqlite3.Connection, id_: str) -> None:
    db.execute("DELETE FROM initials WHERE id = ?", (id_,))


def found_difference(db: sqlite3.Connection, id_: str, difference: float) -> None:
    """How far a state from outside was from a reading of its text here."""
    db.execute("UPDATE initials SET difference = ? WHERE id = ?", (difference, id_))


def trust(db: sqlite3.Connection, id_: str) -> None:
    """What began from this initial state begins from nothing: all of it was read here."""
    with transaction(db):
        db.execute("UPDATE persona_states SET initial = '' WHERE initial = ?", (id_,))
        db.execute("UPDATE threads SET initial = '' WHERE initial = ?", (id_,))


def _initial(row: sqlite3.Row) -> Initial:
    difference = rows.field(row, "difference")
    return Initial(
        id=rows.text(row, "id"),
        kind=rows.text(row, "kind"),
        files=tuple(each for each in rows.items(row, "file") if isinstance(each, str)),
        name=rows.text(row, "name"),
        model=rows.text(row, "model"),
        tier=rows.text(row, "tier"),
        prefix=rows.text(row, "prefix"),
        length=rows.whole(row, "length") or 0,
        difference=float(difference) if isinstance(difference, int | float) else None,
        added=rows.number(row, "added"),
    )
