"""What lies where it was registered, and what else lies in our folder of models: headers only."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError, ModelNotFound
from rwkv_chat.library.models import ModelRow
from rwkv_chat.session import cards
from rwkv_chat.session.shelf_headers import kind_of, measure, read_header
from rwkv_chat.session.shelf_scan import candidates
from rwkv_chat.session.shelf_types import ShelfEntry

OUR_DEPTH = 1  # a copied model may have a folder of its own


def look(rows: tuple[ModelRow, ...], folder: Path) -> list[tuple[ModelRow, ShelfEntry]]:
    """Every known model as it lies there now, and what else lies in our folder of models."""
    known = {row.path for row in rows}
    unknown = (path for path in candidates(folder, OUR_DEPTH) if str(path) not in known)
    strays = [look_at(ModelRow(str(path), "found", added=time.time())) for path in unknown]
    return [*map(look_at, rows), *(each for each in strays if _is_model(each[1]))]


def _is_model(entry: ShelfEntry) -> bool:
    """Tuned states, adapters and empty folders beside the models are no business of the list."""
    error = entry.error
    if error is None:
        return True
    return not isinstance(error, ModelNotFound) and kind_of(error) not in ("tuned-state", "adapter")


def look_at(row: ModelRow) -> tuple[ModelRow, ShelfEntry]:
    """The row brought up to date, and its entry; an error leaves the row as it was."""
    try:
        row = _brought_up(row)
    except EngineError as error:
        return row, _entry(row, error)
    return row, _entry(row)


def _brought_up(row: ModelRow) -> ModelRow:
    """Read the header again if the file is not the one that was read. Raises: EngineError."""
    path = Path(row.path)
    nbytes, mark = measure(path)
    if mark == row.mark and row.spec is not None:
        return row
    header = read_header(path)
    row = replace(row, format=header.format, spec=header.spec, nbytes=nbytes, mark=mark)
    return row if not row.mark else replace(row, id="", verified=None)


def _entry(row: ModelRow, error: EngineError | None = None) -> ShelfEntry:
    return ShelfEntry(
        card=cards.card_for(Path(row.path)),
        source=row.source,
        format=row.format,
        spec=row.spec,
        nbytes=row.nbytes,
        id=row.id,
        offer=row.offer,
        checked=row.checked,
        error=error,
        missing=isinstance(error, ModelNotFound),
        added=row.added,
        verified=row.verified,
    )
