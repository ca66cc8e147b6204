"""A pull with the real engine, from a hub on this machine that drops lines and forgets files."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from engine.errors import FileGone, ModelGone
from engine.types import Cancelled, Downloaded, Failed, Progress
from engine.weights.catalog import Catalog
from rwkv_chat.paths import Paths
from rwkv_chat.session import Sources, open_session
from rwkv_chat.session.shelf_fetch import Hub as RealHub
from rwkv_chat.session.shelf_fetch import Listing
from rwkv_chat.session.shelf_offers import catalogue
from tests.chat.real import ask
from tests.chat.talk import begin
from tests.engine import tiny
from tests.engine.hub import Fault, Hub, listing, running
from tests.fakes import FakeEngine, FakeHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from engine.weights.catalog import Entry
    from rwkv_chat.session import Session

NAME = "g1d-0.1b"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub()) as here:
        yield here


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    spec = tiny.spec(vocab_size=65536, n_embd=16, rank=4)
    return tiny.checkpoint(tmp_path / "made.pth", spec).read_bytes()


@pytest.fixture
async def session(tmp_path: Path, weights: bytes) -> AsyncIterator[Session]:
    """A real session whose catalogue knows one tiny file's true hash."""

    opened = await open_session(Paths.under(tmp_path / "home"), overrides={"device": "cpu", "threads": 1})
    opened.shelf.listing = TinyListing(weights)
    yield opened
    await opened.close()


class TinyListing(Listing):
    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.hub = FakeHub()
        known = {"size": len(content), "exact": True, "sha256": sha256(content).hexdigest()}
        listed = catalogue()
        changed = (replace(each, **known) if each.name == NAME else each for each in listed.entries)
        self._online = Catalog(listed.series, tuple(changed))


def path_of(entry: Entry) -> str:
    return f"/{entry.repository}/resolve/main/{entry.file}"


async def test_a_pull_survives_a_dropped_line_and_is_talked_to(
    session: Session, hub: Hub, weights: bytes
) -> None:
    entry = session.shelf.listing.catalog.choose(NAME)
    hub.add(path_of(entry), weights, Fault(drop=len(weights) // 3))
    pull = session.shelf.pull(NAME, Sources(endpoint=hub.url("")))
    events = [each async for each in pull]
    end = events[-1]
    assert isinstance(end, Downloaded)
    assert (end.source, end.sha256) == ("known", sha256(weights).hexdigest())
    done = [each.done for each in events if isinstance(each, Progress)]
    assert done == sorted(done)
    assert hub.sent == len(weights)
    _, here = await session.shelf.entries()
    await session.models.use(here.path)
    node = (await ask(session, None, "Hi")).node
    assert node is not None
    assert node.model == end.sha256  # known at once: nothing is hashed again
    assert not any("authorization" in {name.lower() for name in each.headers} for each in hub.log)


async def test_a_pull_is_paused_and_goes_on_in_the_next_run(
    session: Session, hub: Hub, weights: bytes, tmp_path: Path
) -> None:
    entry = session.shelf.listing.catalog.choose(NAME)
    hub.add(path_of(entry), weights, Fault(stall=len(weights) // 2))
    pull = session.shelf.pull(NAME, Sources(endpoint=hub.url("")))
    async for event in pull:
        if isinstance(event, Progress) and event.done:
            pull.pause()
    assert isinstance(await pull.result(), Cancelled)
    offer = next(each for each in await session.shelf.offers() if each.name == NAME)
    assert 0 < offer.partial <= len(weights) // 2
    assert [each.source for each in await session.shelf.entries()] == ["built-in"]
    again = session.shelf.pull(NAME, Sources(endpoint=hub.url("")))
    assert isinstance(await again.result(), Downloaded)
    assert hub.log[-1].start == offer.partial


async def test_what_is_gone_is_told_with_what_the_hub_holds_now(
    opened: list, hub: Hub, tmp_path: Path
) -> None:
    """The list of the hub on this machine; the engine is a fake one, which asks no other host."""
    session = await begin(opened, tmp_path, FakeEngine(download_error=FileGone("https://x/y")))
    session.shelf.listing = Listing()
    session.shelf.listing.hub = OnlineHub()
    file = "rwkv7-g1z-1.5b-20991231-ctx8192.pth"  # newer than our list
    hub.add("/api/models/BlinkDL/rwkv7-g1?blobs=true", listing({file: b"x" * 100}))
    end = await session.shelf.pull("g1c-1.5b", Sources(endpoint=hub.url(""))).result()
    assert isinstance(end, Failed)
    assert isinstance(end.error, ModelGone)
    assert end.error.replacement == "g1z-1.5b"
    assert session.shelf.listing.catalog.choose("g1z-1.5b").file == file


class OnlineHub(RealHub):
    """Has nothing in a cache, whoever runs the tests."""

    def cached(self, entry: Entry) -> Path | None:
        return None
