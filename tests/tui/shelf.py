"""A shelf without files: what the Models screen is tested on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UnsupportedFormat
from engine.types import Cancelled, Downloaded, Failed, ModelSpec, Progress
from engine.weights.catalog_entry import Entry
from engine.weights.fit import Fit
from rwkv_chat.session.cards import ModelCard
from rwkv_chat.session.shelf_types import Converted, Found, Info, Offer, ShelfEntry
from tests.fakes import CARD, SPEC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.errors import EngineError
    from rwkv_chat.session.shelf_convert import Conversion

GB = 1_000_000_000
FREE = 11_400_000_000
HERE = Path("/home/ada/models")


def fits(nbytes: int, free: int = FREE) -> tuple[Fit, ...]:
    """What weights of so many bytes in bf16 need in two tiers."""
    return tuple(
        Fit(tier, "cpu", nbytes * times, 13_000_000, 300_000_000, free)
        for tier, times in (("bf16", 1), ("fp32", 2))
    )


def entry(name: str, size: float, *, day: str = "2025-05-01", **changes: object) -> Entry:
    known = Entry(
        name=name,
        family="g1",
        file=f"rwkv7-{name}-20250501-ctx8192.pth",
        repository="BlinkDL/rwkv7-g1",
        modelscope=None,
        size=int(size * GB),
        exact=True,
        sha256="0" * 64,
        params=int(size * GB / 2),
        n_layer=24,
        n_embd=2048,
        vocab_size=65536,
        context=8192,
        date=date.fromisoformat(day),
        data="g1h",
        arch="rwkv7",
        licence="Apache-2.0",
        tokenizer="world",
        chat=True,
    )
    return replace(known, **changes)


def offer(name: str, size: float, **changes: object) -> Offer:
    nbytes = int(size * GB)
    given = {"entry": entry(name, size), "fits": fits(nbytes), **changes}
    return Offer(**given)  # pyright: ignore[reportArgumentType]


def local(name: str, size: float, **changes: object) -> ShelfEntry:
    path = HERE / f"{name}.pth"
    spec = ModelSpec("rwkv7", 24, 2048, 64, 8192, 65536)
    given = {
        "card": ModelCard(name, path),
        "source": "in place",
        "format": "pth",
        "spec": spec,
        "nbytes": int(size * GB),
        "fits": fits(int(size * GB)),
        **changes,
    }
    return ShelfEntry(**given)  # pyright: ignore[reportArgumentType]


BUILTIN = ShelfEntry(CARD, "built-in", "safetensors", SPEC, nbytes=11_200_000)


@dataclass
class FakePull:
    """Gives what it is told to give."""

    offer: Offer
    paused: asyncio.Event = field(default_factory=asyncio.Event)
    queue: asyncio.Queue[object] = field(default_factory=asyncio.Queue)

    def pause(self) -> None:
        self.queue.put_nowait(Cancelled())

    def grow(self, done: int) -> None:
        self.queue.put_nowait(Progress("download", done, self.offer.entry.size))

    def finish(self) -> None:
        path = str(HERE / self.offer.entry.file)
        self.queue.put_nowait(Downloaded(path, self.offer.entry.size, "0" * 64, "known"))

    def fail(self, error: EngineError) -> None:
        self.queue.put_nowait(Failed(error))

    async def __aiter__(self) -> AsyncIterator[object]:
        while True:
            event = await self.queue.get()
            yield event
            if not isinstance(event, Progress):
                return


class FakeShelf:
    """The contract of `rwkv_chat.session.shelf.Shelf`, over lists."""

    def __init__(self, entries: tuple[ShelfEntry, ...] = (), offers: tuple[Offer, ...] = ()) -> None:
        self.known = [BUILTIN, *entries]
        self.can_be_had = list(offers)
        self.pulls: dict[str, FakePull] = {}
        self.removed: list[tuple[str, bool]] = []
        self.found: list[Found | Progress] = []
        self.error: EngineError | None = None
        self.verifying = asyncio.Event()
        self.writing = asyncio.Event()
        self.wished: list[tuple[Path, Path, Conversion]] = []
        self.only_online: list[Offer] = []
        self.converted: tuple[tuple[Path, int], ...] = ()

    async def entries(self) -> tuple[ShelfEntry, ...]:
        return tuple(self.known)

    async def offers(self, *, online: bool = False) -> tuple[Offer, ...]:
        if online and self.error is not None:
            raise self.error
        if online:
            self.can_be_had[:0] = self.only_online
        return tuple(self.can_be_had)

    async def info(self, path: Path) -> Info:
        found = next(each for each in self.known if each.path == path)
        types = (("bf16", 398), ("fp32", 2))
        return Info(found, ((path, found.nbytes),), 1, types, 13_000_000, {}, self.converted)

    def pull(self, name: str) -> FakePull:
        if self.error is not None:
            raise self.error
        file = offer(name, 0.002)  # one that comes beside a model is no offer
        found = next((each for each in self.can_be_had if each.name == name), file)
        self.pulls[name] = FakePull(found)
        return self.pulls[name]

    async def import_(self, path: Path, *, copy: bool = False) -> AsyncIterator[Found | Progress]:
        if copy:
            yield Progress("copy", 1, 2)
        if not self.found:
            raise UnsupportedFormat(str(path), "unknown")
        for each in self.found:
            if isinstance(each, Found) and each.entry is not None:
                self.known.append(each.entry)
            yield each

    async def close(self) -> None:
        pass

    async def verify(self, path: Path) -> AsyncIterator[Progress]:
        yield Progress("hash", 1, 4)
        await asyncio.sleep(0)
        await self.verifying.wait()
        if self.error is not None:
            raise self.error

    async def convert(
        self, source: Path, target: Path, wish: Conversion
    ) -> AsyncIterator[Progress | Converted]:
        self.wished.append((source, target, wish))
        yield Progress("convert", 1, 2)
        if self.error is not None:
            raise self.error
        await self.writing.wait()
        yield Converted(target, 2_000_000, target.with_name("Modelfile") if wish.format == "gguf" else None)

    async def remove(self, entry: ShelfEntry, *, files: bool) -> None:
        self.removed.append((entry.name, files))
        self.known.remove(entry)


def some_models() -> FakeShelf:
    """A shelf with one of everything."""
    return FakeShelf(
        (
            local("rwkv7-g1d-0.4b", 0.9, source="downloaded", checked="known", verified=1.0),
            local("RWKV-x060-World-3B-中文小说-v2.1-20240417-ctx4096", 6.2, format="hf-rwkv6"),
            local("gone", 3.1, missing=True, error=UnsupportedFormat("/gone", "unknown")),
        ),
        (
            offer("g1h-13.3b", 26.7),
            offer("g1h-7.2b", 14.4),
            offer("g1h-2.9b", 5.9, advice=True),
            offer("g1h-1.5b", 3.06, partial=1_300_000_000),
            offer("g1h-0.4b", 0.9, here=HERE / "rwkv7-g1d-0.4b.pth"),
            offer("raven-14b", 28.3),
        ),
    )
