"""The shelf: the models on this machine, those that can be had, and what is done with them.

Front ends use exactly this: the Models screen and `rwkv-chat models` differ in their drawing only.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, ModelNotFound
from rwkv_chat.library import models
from rwkv_chat.library.models import ModelRow
from rwkv_chat.session import cards
from rwkv_chat.session.shelf_headers import SUFFIXES, kind_of, measure, read_header
from rwkv_chat.session.shelf_types import Offer, ShelfEntry

if TYPE_CHECKING:
    from rwkv_chat.library.database import Library
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.border import EngineLike


class Shelf:
    """The use cases of models as files; which one speaks is `Models`' affair."""

    def __init__(self, library: Library, engine: EngineLike, paths: Paths) -> None:
        self._library, self._engine, self._paths = library, engine, paths

    async def entries(self) -> tuple[ShelfEntry, ...]:
        """The models that are here, the built-in one first, then the newest.

        Headers are read where they are new or changed; weights never are. Raises: LibraryError.
        """
        rows = await self._library.run(models.every)
        looked = await asyncio.to_thread(_look, rows, self._paths.models)
        changed = [row for row, entry in looked if row not in rows and entry.error is None]
        if changed:
            await self._library.run(models.put, changed)
        return (_builtin(), *(entry for _, entry in looked))

    async def offers(self) -> tuple[Offer, ...]:
        """What can be downloaded, newest first."""
        return ()


def _builtin() -> ShelfEntry:
    card = cards.builtin()
    try:
        nbytes = card.path.stat().st_size
    except OSError:
        nbytes = 0
    return ShelfEntry(card, "built-in", format="safetensors", nbytes=nbytes)


# ------------------------------------------------------------------------------------------------ looking


def _look(rows: tuple[ModelRow, ...], folder: Path) -> list[tuple[ModelRow, ShelfEntry]]:
    """Every known model as it lies there now, and what else lies in our folder of models."""
    known = {row.path for row in rows}
    found = [_look_at(row) for row in rows]
    strays = [
        ModelRow(str(path), "found", added=time.time()) for path in _in(folder) if str(path) not in known
    ]
    return found + [each for each in map(_look_at, strays) if _is_model(each[1])]


def _in(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if _may_be_a_model(each))
    except OSError:
        return []


def _may_be_a_model(path: Path) -> bool:
    return not path.name.startswith(".") and (path.suffix.lower() in SUFFIXES or path.is_dir())


def _is_model(entry: ShelfEntry) -> bool:
    """Tuned states, adapters and empty folders beside the models are no business of the list."""
    error = entry.error
    return error is None or not (
        isinstance(error, ModelNotFound) or kind_of(error) in ("tuned-state", "adapter")
    )


def _look_at(row: ModelRow) -> tuple[ModelRow, ShelfEntry]:
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
