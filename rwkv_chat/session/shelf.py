"""The shelf: the models on this machine, those that can be had, and what is done with them.

Front ends use exactly this: the Models screen and `rwkv-chat models` differ in their drawing only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.library import models
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.library.models import ModelRow
from rwkv_chat.session.shelf_device import device_of
from rwkv_chat.session.shelf_fetch import Fetch, Hub, Sources
from rwkv_chat.session.shelf_import import imported
from rwkv_chat.session.shelf_look import Look
from rwkv_chat.session.shelf_offers import catalogue, names_by_file, offers
from rwkv_chat.session.shelf_pull import Pull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine.types import Downloaded, Progress
    from engine.weights.catalog import Catalog, Entry
    from rwkv_chat.library.database import Library
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.shelf_types import Found, Offer, ShelfEntry
    from rwkv_chat.settings import Settings

log = logging.getLogger(__name__)


class Shelf:
    """The use cases of models as files; which one speaks is `Models`' affair.

    Attributes:
        pulls: the downloads of this run by short name, those that ended included.
        hub: asked what it holds, and what of it lies in its cache here.
    """

    def __init__(
        self, library: Library, engine: EngineLike, paths: Paths, settings: Callable[[], Settings]
    ) -> None:
        self._library, self._engine, self._paths, self._settings = library, engine, paths, settings
        self.pulls: dict[str, Pull] = {}
        self.hub = Hub()

    # ------------------------------------------------------------------------------------ looking

    async def entries(self) -> tuple[ShelfEntry, ...]:
        """The models that are here, the built-in one first, then the newest.

        Headers are read where they are new or changed; weights never are. Raises: LibraryError.
        """
        rows = await self._library.run(models.every)
        look = await asyncio.to_thread(self._look)
        looked = await asyncio.to_thread(look.everything, rows)
        changed = [row for row, entry in looked if row not in rows and entry.readable]
        if changed:
            await self._library.run(models.put, changed)
        return (await asyncio.to_thread(look.builtin), *(entry for _, entry in looked))

    async def offers(self) -> tuple[Offer, ...]:
        """What can be downloaded, newest first. Raises: LibraryError, CatalogInvalid."""
        entries = await self.entries()
        return await asyncio.to_thread(self._offers, entries)

    async def card(self, path: Path, *, keep: bool = False) -> ModelCard:
        """What is known of the weights at `path`, whether they are on the shelf or not; `keep` puts them
        there.

        Raises:
            EngineError: nothing is there, or no model, or its tokenizer is missing.
        """
        path = await asyncio.to_thread(path.absolute)
        known = await self._library.run(models.find, str(path))
        look = await asyncio.to_thread(self._look)
        row = known or ModelRow(str(path), "in place", added=time.time())
        row, entry = await asyncio.to_thread(look.at, row)
        if entry.error is not None:
            raise entry.error
        if row != known and (known is not None or keep):
            await self._remember(row)
        return entry.card

    # ------------------------------------------------------------------------------------ getting

    def pull(self, name: str, sources: Sources | None = None) -> Pull:
        """Begin to download a model of the catalogue, or go on with a download that was paused.

        Args:
            name: as `Offer.name`, or anything that means one model: "g1k-1.5b", a file's name, "0.4b".
            sources: None for the hub, without a token.

        Raises:
            ModelUnknown, ModelAmbiguous, CatalogInvalid: at once; nothing is fetched.
        """
        entry = self._catalogue.choose(name)
        running = self.pulls.get(entry.name)
        if running is None or running.done:
            running = self.pulls[entry.name] = self._pull(entry, sources or Sources())
        return running

    def import_(self, path: Path, *, copy: bool = False) -> AsyncIterator[Progress | Found]:
        """Take a file, or whatever a folder holds, onto the shelf: where it lies, or as a copy in our folder.

        Gives a `Found` for each thing that was looked at, and Progress("copy", bytes, of all) before that of
        a copy. Headers are read, no weights; a bad file is told and ends nothing.

        Raises (while iterating):
            ModelNotFound: nothing is at `path`.
            DiskFull: no room for a copy.
            LibraryError.
        """
        return imported(self._library, self._look, path, copy=copy)

    # ------------------------------------------------------------------------------------ for the session

    async def identified(self, path: str, mark: str, id_: str) -> None:
        """The id of these weights became known; what was said under `mark` gets it. Raises: LibraryError."""
        await self._library.run(models.identified, path, mark, id_)

    async def close(self) -> None:
        """Pause every download and wait until what came is on the disk."""
        running = [each for each in self.pulls.values() if not each.done]
        for each in running:
            each.pause()
        await asyncio.gather(*(each.result() for each in running))

    # ------------------------------------------------------------------------------------ inside

    async def _remember(self, row: ModelRow) -> None:
        """A model speaks even if it cannot be written down."""
        try:
            await self._library.run(models.put, [row])
        except LibraryError as error:
            log.warning("a model could not be put on the shelf: %s", type(error).__name__)

    def _look(self) -> Look:
        return Look(self._paths.models, device_of(self._settings().device), names_by_file())

    @property
    def _catalogue(self) -> Catalog:
        return catalogue()

    def _offers(self, entries: tuple[ShelfEntry, ...]) -> tuple[Offer, ...]:
        return offers(self._catalogue, entries, self._paths.models, device_of(self._settings().device))

    def _pull(self, entry: Entry, sources: Sources) -> Pull:
        async def finish(end: Downloaded) -> None:
            await self._downloaded(entry, end)

        fetch = Fetch(entry, self._paths.models, self._catalogue, sources, self.hub)
        return Pull(self._engine, fetch, finish)

    async def _downloaded(self, entry: Entry, end: Downloaded) -> None:
        """Put a finished download on the shelf (or what lay in a cache of the hub); its id is its SHA-256."""
        now, look = time.time(), await asyncio.to_thread(self._look)
        source = "downloaded" if end.path.startswith(str(self._paths.models)) else "in place"
        row = ModelRow(end.path, source, offer=entry.name, checked=end.source, added=now)
        row, seen = await asyncio.to_thread(look.at, row)
        if seen.readable:
            await self._library.run(models.put, [replace(row, id=end.sha256, verified=now)])
