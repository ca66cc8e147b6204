"""How one model of the catalogue is got: from where, with what beside it, and what to offer if it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineError, FileGone, ModelGone
from engine.types import Downloaded

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import DownloadRequest
    from engine.weights.catalog import Catalog, Entry, LiveFile


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


@dataclass(frozen=True, slots=True)
class Fetch:
    """One model's way onto the shelf.

    Attributes:
        folder: where it will lie.  listed: the catalogue that offers it.
        hub: asked for its files only after it answered that this one is gone.
    """

    entry: Entry
    folder: Path
    listed: Catalog
    sources: Sources
    hub: Hub

    def cached(self) -> Downloaded | None:
        """The file in a Hugging Face cache on this machine, to be used where it lies. Blocks."""
        path = self.hub.cached(self.entry)
        if path is None:
            return None
        known = self.entry.sha256
        sha256 = known or path.resolve().name  # a cache names a large file by its hash
        return Downloaded(str(path), path.stat().st_size, sha256, "known" if known else "host")

    def requests(self) -> tuple[DownloadRequest, ...]:
        """What is to be fetched, the model last. Blocks."""
        way = self.sources
        request = self.entry.request(self.folder, source=way.source, endpoint=way.hub, token=way.token)
        companion = self.entry.companion
        if companion is None or (self.folder / companion.file).is_file():
            return (request,)
        return companion.request(self.folder), request

    def instead(self, error: EngineError) -> EngineError:
        """The same error; with the newest file of that size, where the old one is gone. Blocks."""
        if not isinstance(error, FileGone):
            return error
        try:
            other = self.listed.replacement(self.entry, self.hub.live(self.entry.repository, self.sources))
        except EngineError:
            return error
        return error if other is None else ModelGone(self.entry.name, other.name)
