"""What can be downloaded: what is recommended, how a pull goes on, and what is on the shelf then."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import FileGone, ModelAmbiguous, ModelGone, ModelUnknown, NotAtSource
from engine.models import names
from engine.types import Cancelled, Downloaded, Failed, Progress
from engine.weights.catalog import Entry, LiveFile
from engine.weights.fit import Fit
from rwkv_chat.session import Sources
from rwkv_chat.session.shelf_offers import advised, catalogue, offers
from tests.chat.talk import begin
from tests.engine import tiny
from tests.fakes import FakeEngine, FakeHub

G = 1_000_000_000
MOST_SUMS = 4  # over a model's tensors, for all tiers of a CPU
FILE = "rwkv7-g1d-0.1b-20260129-ctx8192.pth"
WORLD = tiny.spec(vocab_size=65536, n_embd=16, rank=4)


def weights(folder: Path) -> bytes:
    return tiny.checkpoint(folder / "made.pth", WORLD).read_bytes()


def bringing(folder: Path, **more: object) -> FakeEngine:
    return FakeEngine(content={FILE: weights(folder)}, **more)  # pyright: ignore[reportArgumentType]


async def test_a_pull_ends_on_the_shelf_with_its_id(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home", engine := bringing(tmp_path))
    pull = session.shelf.pull("g1d-0.1b")
    events = [each async for each in pull]
    assert [type(each) for each in events[:-1]] == [Progress] * (len(events) - 1)
    end = events[-1]
    assert isinstance(end, Downloaded)
    assert await pull.result() == end
    (request,) = engine.downloads
    assert (request.token, request.sha256) == (None, catalogue().choose("g1d-0.1b").sha256)
    _, entry = await session.shelf.entries()
    assert (entry.source, entry.offer, entry.id, entry.ours) == ("downloaded", "g1d-0.1b", end.sha256, True)
    assert entry.verified is not None
    offer = next(each for each in await session.shelf.offers() if each.name == "g1d-0.1b")
    assert offer.here == entry.path


async def test_a_paused_pull_keeps_what_came_and_goes_on(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home", engine := bringing(tmp_path, download_delay=0.05))
    pull = session.shelf.pull("g1d-0.1b")
    async for event in pull:
        if isinstance(event, Progress) and event.done:
            pull.pause()
    assert isinstance(await pull.result(), Cancelled)
    offer = next(each for each in await session.shelf.offers() if each.name == "g1d-0.1b")
    assert 0 < offer.partial < len(engine.content[FILE])
    assert offer.here is None
    again = session.shelf.pull("g1d-0.1b")
    assert again is not pull
    assert session.shelf.pull("g1d-0.1b") is again
    assert isinstance(await again.result(), Downloaded)


async def test_who_listens_late_hears_the_end(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home", FakeEngine(download_error=FileGone("https://x/y")))
    pull = session.shelf.pull("g1d-0.1b")
    assert isinstance(await pull.result(), Failed)
    assert [type(each) async for each in pull] == [Failed]


async def test_what_is_gone_is_replaced_by_the_newest_of_its_size(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(download_error=FileGone("https://x/y")))
    old, new = catalogue().choose("g1c-1.5b"), catalogue().choose("g1k-1.5b")
    session.shelf.listing.hub = hub = FakeHub((LiveFile(new.repository, new.file, 3 * G, None),))
    end = await session.shelf.pull(old.name).result()
    assert isinstance(end, Failed)
    assert isinstance(end.error, ModelGone)
    assert (end.error.name, end.error.replacement) == (old.name, new.name)
    assert hub.asked == [old.repository]


async def test_what_lies_in_a_cache_of_the_hub_is_used_there(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home", engine := FakeEngine())
    wanted = catalogue().choose("g1d-0.1b")
    blob = tmp_path / wanted.file
    blob.write_bytes(weights(tmp_path))
    session.shelf.listing.hub, engine.identity = CachingHub(blob), str(wanted.sha256)
    assert isinstance(await session.shelf.pull("g1d-0.1b").result(), Downloaded)
    assert engine.downloads == []
    _, entry = await session.shelf.entries()
    assert (entry.path, entry.source, entry.ours) == (blob, "in place", False)


async def test_a_damaged_file_in_a_cache_of_the_hub_is_not_used(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home", engine := FakeEngine())
    blob = tmp_path / catalogue().choose("g1d-0.1b").file
    blob.write_bytes(weights(tmp_path))
    session.shelf.listing.hub, engine.identity = CachingHub(blob), "0" * 64
    assert isinstance(await session.shelf.pull("g1d-0.1b").result(), Downloaded)
    assert [Path(each.path).name for each in engine.downloads] == [blob.name]


async def test_a_model_that_is_not_on_modelscope_is_not_taken_from_elsewhere(
    opened: list, tmp_path: Path
) -> None:
    session = await begin(opened, tmp_path / "home", engine := FakeEngine())
    unlisted = (each for each in catalogue().entries if each.modelscope is None)
    entry = next(each for each in unlisted if each.tokenizer == "world")
    end = await session.shelf.pull(entry.name, Sources("modelscope")).result()
    assert isinstance(end, Failed)
    assert isinstance(end.error, NotAtSource)
    assert engine.downloads == []


class CachingHub(FakeHub):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def cached(self, entry: Entry) -> Path | None:
        return self.file


async def test_a_pile_model_brings_its_tokenizer(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home", engine := FakeEngine())
    entry = next(each for each in catalogue().entries if each.tokenizer == "20b")
    await session.shelf.pull(entry.name).result()
    names = [Path(each.path).name for each in engine.downloads]
    assert names == ["20B_tokenizer.json", entry.file]


async def test_a_pile_model_in_a_cache_of_the_hub_brings_its_tokenizer_too(
    opened: list, tmp_path: Path
) -> None:
    session = await begin(opened, tmp_path / "home", engine := FakeEngine())
    entry = next(each for each in catalogue().entries if each.tokenizer == "20b")
    blob = tmp_path / entry.file
    blob.write_bytes(weights(tmp_path))
    session.shelf.listing.hub, engine.identity = CachingHub(blob), str(entry.sha256 or blob.name)
    end = await session.shelf.pull(entry.name).result()
    assert isinstance(end, Downloaded)
    assert (end.path, [Path(each.path).name for each in engine.downloads]) == (
        str(blob),
        ["20B_tokenizer.json"],
    )


async def test_names_that_mean_nothing_or_too_much(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    with pytest.raises(ModelUnknown):
        session.shelf.pull("nothing-of-this-name")
    with pytest.raises(ModelAmbiguous):
        session.shelf.pull("g1d")


async def test_closing_pauses(tmp_path: Path) -> None:
    session = await begin([], tmp_path / "home", FakeEngine(download_delay=60.0))
    pull = session.shelf.pull("g1d-0.1b")
    await session.close()
    assert isinstance(pull.last, Cancelled)


async def test_one_offer_is_recommended_and_all_tell_their_fit(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    offers = await session.shelf.offers()
    assert len([each for each in offers if each.advice]) == 1
    assert all(each.fits and each.entry.loadable for each in offers)
    dates = [each.entry.date for each in offers]
    assert dates == sorted(dates, reverse=True)


def test_offers_take_no_walk_through_every_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers stand for all, in each of the few sums that a fit takes."""
    layers: list[int] = []
    of_block = names.block_shapes
    monkeypatch.setattr(names, "block_shapes", lambda *given: layers.append(given[1]) or of_block(*given))
    made = offers(catalogue(), (), tmp_path, "cpu")
    assert set(layers) == {0, 1}
    assert len(layers) <= 2 * MOST_SUMS * len(made)


@pytest.mark.parametrize(
    ("device", "free", "expected"),
    [
        ("cpu", 64 * G, "2.9b"),
        ("cpu", 6 * G, "1.5b"),
        ("cpu", 2 * G, "0.4b"),
        ("cpu", G // 4, "0.1b"),
        ("cuda", 80 * G, "13.3b"),
        ("cuda", 24 * G, "7.2b"),
        ("cuda", 12 * G, "2.9b"),
    ],
)
def test_what_is_recommended_fits(device: str, free: int, expected: str) -> None:
    listed = catalogue()
    fits = {each.name: (Fit("bf16", device, 2 * each.params, 0, G // 10, free),) for each in listed.entries}
    chosen = advised(listed, fits, disk=None)
    assert chosen is not None
    assert chosen.label == expected
    assert chosen in listed.newest()


def test_what_does_not_fit_the_disk_is_not_recommended() -> None:
    listed = catalogue()
    fits = {each.name: (Fit("bf16", "cuda", 1, 0, 0, None),) for each in listed.entries}
    chosen = advised(listed, fits, disk=4 * G)
    assert chosen is not None
    assert chosen.label == "1.5b"
