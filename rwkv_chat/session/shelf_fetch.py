"""How one model of the catalogue is got: from where, with what beside it, and what to offer if it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineError, FileGone, ModelGone
from engine.types import Downloaded
from rwkv_chat.session.shelf_offers import catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import DownloadRequest
    from engine.weights.catalog import Catalog, Companion, Entry, LiveFile


@dataclass(frozen=True, slots=True)
class Sources:
    """Where downloads come from, as a person asked for it.

    Attributes:
        source: the hub (or a mirror of it) or ModelScope.
        endpoint: of the hub or its mirror; "" for the hub itself.
        token: a Hugging Face token, sent to the endpoint's host alone; None sends none.
    """

    source: Literal["hub", "modelscope"] = "hub"
    endpoint: str = ""
    token: str | None = None

    @property
    def hub(self) -> str:
        from engine.weights.catalog_entry import HUB

        return self.endpoint or HUB


class Hub:
    """What the hub holds, and what of it is here. Every method blocks; tests have another one."""

    def live(self, repository: str, sources: Sources) -> tuple[LiveFile, ...]:
        """What a repository holds now. Waits for the network. Raises: EngineError."""
        from engine.weights.hub import live_files

        return live_files(repository, endpoint=sources.hub, token=sources.token)

    def cached(self, entry: Entry) -> Path | None:
        """The whole file in a Hugging Face cache on this machine."""
        from engine.weights.hub import cached_file

        return cached_file(entry)


class Listing:
    """The catalogue, and what the hub was once asked for beyond it.

    Attributes:
        hub: tests put another one here.
    """

    def __init__(self) -> None:
        self.hub = Hub()
        self._online: Catalog | None = None

    @property
    def catalog(self) -> Catalog:
        """Raises: CatalogInvalid."""
        return self._online or catalogue()

    def ask(self, repository: str, sources: Sources) -> tuple[LiveFile, ...]:
        """What a repository holds now; from here on the catalogue knows of it. Blocks.

        Raises: EngineError.
        """
        live = self.hub.live(repository, sources)
        self._online = self.catalog.with_live(live)
        return live


@dataclass(frozen=True, slots=True)
class Fetch:
    """One model's way onto the shelf; `folder` is where it will lie."""

    entry: Entry
    folder: Path
    listing: Listing
    sources: Sources

    @property
    def name(self) -> str:
        return self.entry.name

    def cached(self) -> Downloaded | None:
        """The file in a Hugging Face cache on this machine, to be used where it lies, with the hash that it
        should have: it has not been read yet. Blocks.
        """
        path = self.listing.hub.cached(self.entry)
        if path is None:
            return None
        known = self.entry.sha256
        sha256 = known or path.resolve().name  # a cache names a large file by its hash
        return Downloaded(str(path), path.stat().st_size, sha256, "known" if known else "host")

    def requests(self) -> tuple[DownloadRequest, ...]:
        """What is to be fetched, the model last. Blocks. Raises: NotAtSource."""
        way = self.sources
        request = self.entry.request(self.folder, source=way.source, endpoint=way.hub, token=way.token)
        return *self.beside(), request

    def beside(self) -> tuple[DownloadRequest, ...]:
        """What the model needs beside it and is not here. Blocks."""
        companion = self.entry.companion
        if companion is None or (self.folder / companion.file).is_file():
            return ()
        return (companion.request(self.folder, self.sources.hub),)

    def instead(self, error: EngineError) -> EngineError:
        """The same error; with the newest file of that size, where the old one is gone. Blocks."""
        if not isinstance(error, FileGone):
            return error
        try:
            live = self.listing.ask(self.entry.repository, self.sources)
            other = self.listing.catalog.replacement(self.entry, live)
        except EngineError:
            return error
        return error if other is None else ModelGone(self.entry.name, other.name)


@dataclass(frozen=True, slots=True)
class CompanionFetch:
    """A file that several models need beside them, got alone."""

    companion: Companion
    folder: Path
    sources: Sources

    @property
    def name(self) -> str:
        return self.companion.file

    def cached(self) -> Downloaded | None:
        return None

    def requests(self) -> tuple[DownloadRequest, ...]:
        return (self.companion.request(self.folder, self.sources.hub),)

    def beside(self) -> tuple[DownloadRequest, ...]:
        return ()

    def instead(self, error: EngineError) -> EngineError:
        return error
