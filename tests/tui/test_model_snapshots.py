"""Pictures of the Models screen in its states, in three sizes of terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input

from engine.errors import DownloadFailed, ModelGone, Offline
from rwkv_chat.session.shelf_types import ShelfEntry
from rwkv_chat.tui.pulls import PullState
from rwkv_chat.tui.screens import shelf as shelf_screen
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.import_dialog import AskPath
from rwkv_chat.tui.screens.models import ModelsScreen
from rwkv_chat.tui.shelf_rows import key_of
from rwkv_chat.tui.widgets.model_table import ModelTable
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, until
from tests.tui.shelf import GB, FakeShelf, some_models

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp

LOCAL = "here:/home/ada/models/rwkv7-g1d-0.4b.pth"
LONG = "here:/home/ada/models/RWKV-x060-World-3B-中文小说-v2.1-20240417-ctx4096.pth"


@pytest.fixture(params=[SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture(autouse=True)
def _free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine has the same room."""

    def free(_folder: Path) -> int:
        return 410 * GB

    monkeypatch.setattr(shelf_screen, "free_bytes", free)


async def opened_models(app: RwkvChatApp, pilot: Pilot[Any]) -> ModelsScreen:
    app.animation_level = "none"
    await pilot.press("ctrl+o")
    await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.free)
    assert isinstance(app.screen, ModelsScreen)
    return app.screen


async def looked_into(app: RwkvChatApp, pilot: Pilot[Any], screen: ModelsScreen) -> None:
    """Waits until what a header tells of the highlighted model is shown."""

    def shown() -> bool:
        model = screen.chosen()
        if app.screen is not screen:
            return False
        return not isinstance(model, ShelfEntry) or not model.readable or key_of(model) in screen.infos

    await until(pilot, shown)
    await pilot.pause()


async def test_every_state(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with opened(tmp_path, size=size, shelf=some_models()) as (app, pilot, chat):
        screen = await opened_models(app, pilot)
        album = Album(app, pilot, snapshot)
        await album.take("advised")
        await _downloads(screen, album)
        await _here(app, pilot, screen, album)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)
        await album.take("chat-while-downloading")
    assert album.different == []


async def _downloads(screen: ModelsScreen, album: Album) -> None:
    pulls = screen.desk.pulls
    gone = ModelGone("raven-14b", "g1h-7.2b")
    broken = DownloadFailed("https://huggingface.co/BlinkDL/rwkv7-g1", 1_350_000_000, 14_400_000_000)
    states = (
        PullState("g1h-2.9b", "running", 2_478_000_000, 5_900_000_000, 24_300_000),
        PullState("g1h-1.5b", "paused", 1_300_000_000, 3_060_000_000),
        PullState("g1h-7.2b", "failed", 1_350_000_000, 14_400_000_000, error=broken),
        PullState("raven-14b", "failed", 0, 28_300_000_000, error=gone),
        PullState("g1h-0.4b", "queued", 0, 900_000_000),
        PullState("g1h-13.3b", "failed", 0, 26_700_000_000, error=Offline("huggingface.co")),
    )
    for state in states:
        pulls._set(state)
    for state in states:
        screen.query_one(ModelTable).select(f"offer:{state.name}")
        await album.take(
            "-".join(["download", state.phase, *([type(state.error).__name__] if state.error else [])])
        )


async def _here(app: RwkvChatApp, pilot: Pilot[Any], screen: ModelsScreen, album: Album) -> None:
    table = screen.query_one(ModelTable)
    table.select(LONG)
    await pilot.pause()
    await looked_into(app, pilot, screen)
    await album.take("long-name")
    table.select("here:/home/ada/models/gone.pth")
    await album.take("missing")
    table.select(LOCAL)
    await pilot.pause()
    await looked_into(app, pilot, screen)
    await pilot.press("x")
    await until(pilot, lambda: isinstance(app.screen, Confirm))
    await album.take("remove")
    await pilot.press("escape")
    await looked_into(app, pilot, screen)
    await pilot.press("i")
    await until(pilot, lambda: isinstance(app.screen, AskPath))
    await album.take("import")
    await pilot.press("escape", "slash", *"world")
    await until(pilot, lambda: screen.query_one("#filter", Input).value == "world")
    await looked_into(app, pilot, screen)
    await album.take("filtered")
    await pilot.press("escape")


async def test_an_empty_shelf(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with opened(tmp_path, size=size, shelf=FakeShelf()) as (app, pilot, _):
        screen = await opened_models(app, pilot)
        await looked_into(app, pilot, screen)
        album = Album(app, pilot, snapshot)
        await album.take("empty")
    assert album.different == []
