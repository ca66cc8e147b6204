"""Models on this machine. Every function that takes a connection runs on the database thread.

A row says where weights lie and what their header said; the weights themselves are never touched here.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from engine.types import ModelSpec
from rwkv_chat.library import index, rows
from rwkv_chat.library.database import transaction

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Source = Literal["built-in", "downloaded", "copied", "in place", "found"]
_SOURCES = frozenset(get_args(Source))
_FIELDS = {each.name for each in fields(ModelSpec)}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A registered model.

    Attributes:
        path: the weights, a file or a folder, absolute.
        source: "downloaded" and "copied" are ours to delete; "in place" lies where the person has it;
            "found" lay in our folder of models; "built-in" comes with the program and is never stored.
        id: SHA-256 of the weights ("" until computed).
        format: what the archive said.  spec: None where the header was not read, or cannot be.
        nbytes: of all its files.
        mark: their sizes and times of change when the header was read.
        offer: its name in the catalogue ("" where it is not from there).
        checked: what a download's SHA-256 was compared with (`engine.types.Downloaded.source`).
        family, template: a person's own choice over what the file's name and shapes say.
        added, verified: seconds since the epoch; `verified` None until every byte was looked at.
    """

    path: str
    source: Source
    id: str = ""
    format: str = ""
    spec: ModelSpec | None = None
    nbytes: int = 0
    mark: str = ""
    offer: str = ""
    checked: str = ""
    family: str = ""
    template: str = ""
    added: float = 0.0
    verified: float | None = None


def every(db: sqlite3.Connection) -> tuple[ModelRow, ...]:
    """All rows, newest first."""
    found = db.execute("SELECT * FROM models ORDER BY added DESC, path")
    return tuple(_row(each) for each in found)


def find(db: sqlite3.Connection, path: str) -> ModelRow | None:
    """The row of these weights; a path that is no text has none."""
    try:
        row = db.execute("SELECT * FROM models WHERE path = ?", (path,)).fetchone()
    except UnicodeEncodeError:
        return None
    return None if row is None else _row(row)


def put(db: sqlite3.Connection, given: Iterable[ModelRow]) -> None:
    """Write rows, each in the place of the one with its path."""
    with transaction(db):
        db.executemany(
            "INSERT OR REPLACE INTO models (path, source, id, format, spec, bytes, mark, offer, checked, "
            "family, template, added, verified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_values(each) for each in given],
        )


def remove(db: sqlite3.Connection, path: str) -> None:
    """Forget these weights; conversations keep naming the model by its id."""
    db.execute("DELETE FROM models WHERE path = ?", (path,))


def identified(db: sqlite3.Connection, path: str, mark: str, id_: str) -> None:
    """The id of these weights became known: give it to them, and to what was said under `mark` so far."""
    with transaction(db):
        db.execute("UPDATE models SET id = ? WHERE path = ?", (id_, path))
        index.rename_model(db, mark, id_)
        db.execute("UPDATE nodes SET model = ? WHERE model = ?", (id_, mark))
        db.execute("UPDATE threads SET model = ? WHERE model = ?", (id_, mark))


def look(file: Path) -> tuple[ModelRow, ...]:
    """`every` through a connection of its own that cannot write; nothing where there is no such table yet."""
    if not file.is_file():
        return ()
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            return every(db)
    except sqlite3.Error:  # whoever opens the library says what is wrong with it
        return ()


def _values(row: ModelRow) -> tuple[object, ...]:
    spec = "" if row.spec is None else json.dumps(asdict(row.spec))
    return (
        *(row.path, row.source, row.id, row.format, spec, row.nbytes, row.mark, row.offer, row.checked),
        *(row.family, row.template, row.added, row.verified),
    )


def _row(row: sqlite3.Row) -> ModelRow:
    source, verified = rows.text(row, "source"), rows.field(row, "verified")
    made = ModelRow(
        path=rows.text(row, "path"),
        source=cast("Source", source if source in _SOURCES else "in place"),
        spec=_spec(rows.text(row, "spec")),
        nbytes=rows.whole(row, "bytes") or 0,
        added=rows.number(row, "added"),
        verified=float(verified) if isinstance(verified, int | float) else None,
    )
    words = ("id", "format", "mark", "offer", "checked", "family", "template")
    return replace(made, **{name: rows.text(row, name) for name in words})


def _spec(text: str) -> ModelSpec | None:
    """The numbers of a header as they were written; None where they are not ours, or not all there."""
    try:
        values: Any = json.loads(text)
        values["ranks"] = tuple((str(letter), int(rank)) for letter, rank in values["ranks"])
        return ModelSpec(**values) if values.keys() == _FIELDS and _whole(values) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _whole(values: dict[str, Any]) -> bool:
    return isinstance(values["arch"], str) and all(
        isinstance(value, int) for name, value in values.items() if name not in ("arch", "ranks")
    )
