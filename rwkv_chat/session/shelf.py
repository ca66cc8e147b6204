"""The shelf: the models on this machine, those that can be had, and what is done with them.

Front ends use exactly this: the Models screen and `rwkv-chat models` differ in their drawing only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat.library import models
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.library.models import ModelRow
from rwkv_chat.paths import hub_endpoint
from rwkv_chat.session import cards
from rwkv_chat.session.apart import apart
from rwkv_chat.session.errors import BuiltInStays, NotOurs
from rwkv_chat.session.shelf_convert import Conversion, convert
from rwkv_chat.session.shelf_device import device_of
from rwkv_chat.session.shelf_fetch import CompanionFetch, Fetch, Listing, Sources
from rwkv_chat.session.shelf_golden import golden
from rwkv_chat.session.shelf_headers import remembered_id
from rwkv_chat.session.shelf_import import imported
from rwkv_chat.session.shelf_info import info
from rwkv_chat.session.shelf_look import Look
from rwkv_chat.session.shelf_offers import names_by_file, offers
from rwkv_chat.session.shelf_pull import Pull
from rwkv_chat.session.shelf_remove import delete, doomed
from rwkv_chat.session.shelf_types import Verified
from rwkv_chat.session.shelf_verify import verify
from rwkv_chat.session.steps import steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from engine.types import Downloaded, Progress
    from rwkv_chat.library.database import Library
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.shelf_types import Converted, Found, Golden, Info, Offer, ShelfEntry
    from rwkv_chat.settings import Settings

log = logging.getLogger(__name__)


class Shelf:
    """The use cases of models as files; which one speaks is `Models`' affair.

    Attributes:
        pulls: the downloads of this run by short name, those that ended included.
        listing: the catalogue, and what the hub said beyond it.
        removed: awaited before the weights at a path go.
        apart: files are read through in a process of their own, which keeps this one quick.
        given_up: called when the engine is about to hold another model than the one that speaks.
    """

    def __init__(
        self, library: Library, engine: EngineLike, paths: Paths, settings: Callable[[], Settings]
    ) -> None:
        self._library, self._engine, self._paths, self._settings = library, engine, paths, settings
        self.pulls: dict[str, Pull] = {}
        self.listing = Listing()
        self.removed: Callable[[Path], Awaitable[None]] = _nothing
        self.apart = False
        self.given_up: Callable[[], None] = lambda: None

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

    async def offers(self, *, online: bool = False, sources: Sources | None = None) -> tuple[Offer, ...]:
        """What can be downloaded, newest first; `online` asks the release repository, at the endpoint of
        `sources`, what else it holds.

        Raises: LibraryError, EngineError.
        """
        if online:
            newest = await asyncio.to_thread(lambda: self.listing.catalog.entries[0])
            where = sources or Sources(endpoint=hub_endpoint())
            await asyncio.to_thread(self.listing.ask, newest.repository, where)
        entries = await self.entries()
        return await asyncio.to_thread(self._offers, entries)

    async def card(self, path: Path, *, keep: bool = False) -> ModelCard:
        """What is known of the weights at `path`, whether they are on the shelf or not; `keep` puts them
        there.

        Raises:
            EngineError: nothing is there, or no model, or its tokenizer is missing.
        """
        known, row, entry = await self._seen(path)
        if entry.error is not None:
            raise entry.error
        if row != known and (known is not None or keep):
            await self._remember(row)
        return entry.card

    # ------------------------------------------------------------------------------------ getting

    def pull(self, name: str, sources: Sources | None = None) -> Pull:
        """Begin to download a model of the catalogue, or go on with a download that was paused.

        Args:
            name: as `Offer.name`, or anything that means one model: "g1k-1.5b", a file's name, "0.4b"; or
                "20B_tokenizer.json", which Pile and Raven models need.
            sources: None for the hub, or the mirror that the environment names, without a token.

        Raises:
            ModelUnknown, ModelAmbiguous, CatalogInvalid: at once; nothing is fetched.
        """
        fetch = self._fetch(name, sources or Sources(endpoint=hub_endpoint()))
        running = self.pulls.get(fetch.name)
        if running is None or running.done:
            running = self.pulls[fetch.name] = Pull(self._engine, fetch, partial(self._downloaded, fetch))
        return running

    async def choose(self, path: Path, family: str, template: str) -> None:
        """Remember how the model at `path` is to be treated; "" leaves it to its name and header.

        Raises: LibraryError.
        """
        if (row := await self._library.run(models.find, str(path))) is not None:
            await self._library.run(models.put, [replace(row, family=family, template=template)])

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

    # ------------------------------------------------------------------------------------ one model

    async def entry(self, path: Path) -> ShelfEntry:
        """What is known of the weights at `path`, whether they are on the shelf or not; what is wrong with
        them stands in `error`. Nothing is kept. Raises: LibraryError.
        """
        return (await self._seen(path))[2]

    async def info(self, path: Path) -> Info:
        """Everything but the weights of what lies at `path`. Raises: EngineError, LibraryError."""
        entry = await self._readable(path)
        id_ = entry.id or await asyncio.to_thread(remembered_id, entry.path, self._paths.cache)
        return await asyncio.to_thread(info, replace(entry, id=id_), self._paths.cache)

    async def verify(self, path: Path) -> AsyncIterator[Progress | Verified]:
        """Read every byte: SHA-256 against what is known, checksums, finite numbers.

        Gives Progress("hash" …) and Progress("read" …), at the end `Verified`.

        Raises:
            WeightsCorrupt: something is not as it should be.
            EngineError, LibraryError.
        """
        known, row, entry = await self._seen(path)
        await self._readable(path)
        sha256, cache = self._sha256(entry), self._paths.cache
        before = row.id or await asyncio.to_thread(remembered_id, entry.path, cache)
        given = (entry.path, sha256, before, cache)
        reading = partial(apart, verify, *given) if self.apart else partial(verify, *given)
        async for event in steps(lambda stop: reading(stop=stop)):
            if isinstance(event, Verified) and known is not None:
                await self._remember(replace(row, id=event.id, verified=time.time()))
            yield event

    async def golden(self, path: Path) -> AsyncIterator[Progress | Golden]:
        """Hold the model's greedy continuation in fp32 against the published one of RWKV-7 G1h 1.5B.

        Progress("load" …), Progress("golden" …), at the end `Golden`. Whatever model was loaded is given up.
        Raises: EngineError, LibraryError.
        """
        card = await self.card(path)
        self.given_up()
        async for event in golden(self._engine, card, self._settings().device):
            yield event

    async def convert(
        self, source: Path, target: Path, wish: Conversion
    ) -> AsyncIterator[Progress | Converted]:
        """Write a model in another format: Progress("convert" …), at the end `Converted`.

        Raises: EngineError, LibraryError, TemplateInvalid.
        """
        entry = await self._readable(source)
        given = (entry.card, target, wish)
        writing = partial(apart, convert, *given) if self.apart else partial(convert, *given)
        async for event in steps(lambda stop: writing(stop=stop)):
            yield event

    async def doomed(self, entry: ShelfEntry) -> tuple[tuple[Path, int], ...]:
        """What `remove(entry, files=True)` would delete, and its bytes."""
        return await asyncio.to_thread(doomed, entry, self._paths.models, self._paths.cache)

    async def remove(self, entry: ShelfEntry, *, files: bool) -> None:
        """Take a model off the shelf; with `files`, delete `doomed` too. Conversations stay.

        If it was the one in use, the built-in guide is used from now on.

        Raises:
            BuiltInStays, NotOurs: it cannot be taken off.
            DiskFailed: a file could not be deleted; the model stays on the shelf.
            LibraryError.
        """
        if entry.card.builtin:
            raise BuiltInStays
        if entry.source == "found" and not entry.missing:
            raise NotOurs(str(entry.path))
        await self.removed(entry.path)
        if files:
            await asyncio.to_thread(delete, entry, self._paths.models, self._paths.cache)
        await self._library.run(models.remove, str(entry.path))

    # ------------------------------------------------------------------------------------ for the session

    async def identified(self, path: str, mark: str, id_: str) -> None:
        """The id of these weights became known; what was said under `mark` gets it. Raises: LibraryError."""
        await self._library.run(models.identified, path, mark, id_)

    async def adopt(self, database: Path) -> None:
        """Know the models of another library, too: for a session that is forgotten. Raises: LibraryError."""
        rows = await asyncio.to_thread(models.look, database)
        await self._library.run(models.put, rows)

    async def close(self) -> None:
        """Pause every download and wait until what came is on the disk."""
        running = [each for each in self.pulls.values() if not each.done]
        for each in running:
            each.pause()
        await asyncio.gather(*(each.result() for each in running))

    # ------------------------------------------------------------------------------------ inside

    async def _readable(self, path: Path) -> ShelfEntry:
        """A model, perhaps without its tokenizer. Raises: EngineError, LibraryError."""
        entry = await self.entry(path)
        if entry.error is not None and not entry.readable:
            raise entry.error
        return entry

    async def _seen(self, path: Path) -> tuple[ModelRow | None, ModelRow, ShelfEntry]:
        """The row of these weights (None where they are not on the shelf), as it should be, and the entry."""
        path = await asyncio.to_thread(path.absolute)
        known = await self._library.run(models.find, str(path))
        look = await asyncio.to_thread(self._look)
        if path == cards.builtin().path:
            return None, *look.at(ModelRow(str(path), "built-in"))
        row = known or ModelRow(str(path), "in place", added=time.time())
        return known, *await asyncio.to_thread(look.at, row)

    def _sha256(self, entry: ShelfEntry) -> str | None:
        """What the catalogue says of it, if it is from there."""
        for each in self.listing.catalog.entries:
            if each.name == entry.offer or each.file == entry.path.name:
                return each.sha256
        return None

    async def _remember(self, row: ModelRow) -> None:
        """A model speaks even if it cannot be written down."""
        try:
            await self._library.run(models.put, [row])
        except LibraryError as error:
            log.warning("a model could not be put on the shelf: %s", type(error).__name__)

    def _look(self) -> Look:
        return Look(self._paths.models, device_of(self._settings().device), names_by_file())

    def _offers(self, entries: tuple[ShelfEntry, ...]) -> tuple[Offer, ...]:
        return offers(self.listing.catalog, entries, self._paths.models, device_of(self._settings().device))

    def _fetch(self, name: str, sources: Sources) -> Fetch | CompanionFetch:
        """Raises: ModelUnknown, ModelAmbiguous, CatalogInvalid."""
        folder = self._paths.models
        for each in self.listing.catalog.entries:
            if each.companion is not None and each.companion.file.lower() == name.strip().lower():
                return CompanionFetch(each.companion, folder, sources)
        return Fetch(self.listing.catalog.choose(name), folder, self.listing, sources)

    async def _downloaded(self, fetch: Fetch | CompanionFetch, end: Downloaded) -> None:
        """Put a finished download on the shelf (or what lay in a cache of the hub); its id is its SHA-256."""
        if isinstance(fetch, CompanionFetch):
            return
        now, look = time.time(), await asyncio.to_thread(self._look)
        source = "downloaded" if end.path.startswith(str(self._paths.models)) else "in place"
        row = ModelRow(end.path, source, offer=fetch.name, checked=end.source, added=now)
        row, seen = await asyncio.to_thread(look.at, row)
        if seen.readable:
            await self._library.run(models.put, [replace(row, id=end.sha256, verified=now)])


async def _nothing(_: Path) -> None:
    pass
