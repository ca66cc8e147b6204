"""The shelf: the models on this machine, those that can be had, and what is done with them.

Front ends use exactly this: the Models screen and `rwkv-chat models` differ in their drawing only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rwkv_chat.library import models
from rwkv_chat.session import cards
from rwkv_chat.session.shelf_import import imported
from rwkv_chat.session.shelf_look import look
from rwkv_chat.session.shelf_types import Offer, ShelfEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.types import Progress
    from rwkv_chat.library.database import Library
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.shelf_types import Found


class Shelf:
    """The use cases of models as files; which one speaks is `Models`' affair."""

    def __init__(self, library: Library, engine: EngineLike, paths: Paths) -> None:
        self._library, self._engine, self._paths = library, engine, paths

    async def entries(self) -> tuple[ShelfEntry, ...]:
        """The models that are here, the built-in one first, then the newest.

        Headers are read where they are new or changed; weights never are. Raises: LibraryError.
        """
        rows = await self._library.run(models.every)
        looked = await asyncio.to_thread(look, rows, self._paths.models)
        changed = [row for row, entry in looked if row not in rows and entry.error is None]
        if changed:
            await self._library.run(models.put, changed)
        return (_builtin(), *(entry for _, entry in looked))

    async def offers(self) -> tuple[Offer, ...]:
        """What can be downloaded, newest first."""
        return ()

    def import_(self, path: Path, *, copy: bool = False) -> AsyncIterator[Progress | Found]:
        """Take a file, or whatever a folder holds, onto the shelf: where it lies, or as a copy in our folder.

        Gives a `Found` for each thing that was looked at, and Progress("copy", bytes, of all) before that of
        a copy. Headers are read, no weights; a bad file is told and ends nothing.

        Raises (while iterating):
            ModelNotFound: nothing is at `path`.
            DiskFull: no room for a copy.
            LibraryError.
        """
        return imported(self._library, self._paths.models, path, copy=copy)


def _builtin() -> ShelfEntry:
    card = cards.builtin()
    try:
        nbytes = card.path.stat().st_size
    except OSError:
        nbytes = 0
    return ShelfEntry(card, "built-in", format="safetensors", nbytes=nbytes)
