"""Taking a file, or what a folder holds, onto the shelf: in place, or as a copy."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, EngineError, ModelNotFound
from engine.types import Progress
from rwkv_chat.library import models
from rwkv_chat.library.models import ModelRow
from rwkv_chat.paths import expanded
from rwkv_chat.session import cards
from rwkv_chat.session.shelf_copy import copy_model
from rwkv_chat.session.shelf_headers import kind_of
from rwkv_chat.session.shelf_scan import candidates, weights_in
from rwkv_chat.session.shelf_types import Found
from rwkv_chat.session.steps import steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from rwkv_chat.library.database import Library
    from rwkv_chat.session.shelf_look import Look
    from rwkv_chat.session.shelf_types import ShelfEntry


async def imported(
    library: Library, make_look: Callable[[], Look], path: Path, *, copy: bool
) -> AsyncIterator[Progress | Found]:
    """See `Shelf.import_`."""
    path = expanded(path).absolute()
    look = await asyncio.to_thread(make_look)
    for each in await asyncio.to_thread(_sources, path):
        row = await library.run(models.find, str(each)) or ModelRow(str(each), "in place", added=time.time())
        row, entry = await asyncio.to_thread(look.at, row)
        if not entry.readable and entry.error is not None:
            kind = await asyncio.to_thread(kind_of, each, entry.error)
            yield Found(each, kind, error=entry.error)
        elif copy and not entry.ours:
            async for event in _copied(library, look, row, entry):
                yield event
        else:
            await library.run(models.put, [row])
            yield Found(each, "model", entry)


def _sources(path: Path) -> list[Path]:
    """What to look at: the file, the folder that is a model, or what a folder holds.

    Raises:
        ModelNotFound: nothing is there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ModelNotFound(str(path))
    return [each for found in candidates(path) for each in _opened(found)]


def _opened(path: Path) -> Iterator[Path]:
    """A folder that looks like a model and is none gives its files."""
    if path.is_dir() and not _is_model_folder(path):
        yield from weights_in(path)
    else:
        yield path


def _is_model_folder(path: Path) -> bool:
    from engine.weights.archive import open_archive

    try:
        open_archive(path)
    except ModelNotFound:
        return False
    except EngineError:
        return True
    return True


async def _copied(
    library: Library, look: Look, row: ModelRow, entry: ShelfEntry
) -> AsyncIterator[Progress | Found]:
    beside = await asyncio.to_thread(cards.companions, entry.card)
    try:
        async for event in steps(lambda stop: copy_model(entry.path, beside, look.folder, stop)):
            if isinstance(event, Progress):
                yield event
            else:
                copied = replace(row, path=str(event), source="copied", mark="", added=time.time())
                copied, made = await asyncio.to_thread(look.at, copied)
                await library.run(models.put, [copied])
                yield Found(entry.path, "model", made)
    except DiskFailed as error:
        yield Found(entry.path, "damaged", error=error)
