"""Pictures of thinking, the manner of a chat, its exact prompt, warnings, and going on with another model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Static

from rwkv_chat.tui.screens.exact import ExactScreen
from rwkv_chat.tui.screens.manner import MannerDialog
from rwkv_chat.tui.widgets.continue_bar import ContinueBar
from rwkv_chat.tui.widgets.exact_view import ExactView
from rwkv_chat.tui.widgets.lint_line import LintLine
from tests.fakes import FakeEngine
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, say_to, shown, until

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen
    from tests.tui.conftest import Clock

REPLY = " <think>They ask about 记忆. A state has one size.\n\nSo: **constant**.</think>\nIt stays the same."


@pytest.fixture(params=[SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


async def test_a_chat_that_thinks(
    size: tuple[int, int],
    tmp_path: Path,
    snapshot: SnapshotAssertion,
    clock: Clock,
    pieces: asyncio.Semaphore,
) -> None:
    async with opened(tmp_path, FakeEngine([REPLY], chunk=20), size=size) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await pilot.press(*"How big is it?", "enter")
        pieces.release()
        await until(pilot, lambda: "Thinking … 0 s" in shown(screen))
        clock.now += 12
        pieces.release()
        await until(pilot, lambda: "Thinking … 12 s" in shown(screen))
        await album.take("thinking")
        await pilot.press("ctrl+t")
        await album.take("thinking-open")
        await pilot.press("ctrl+t")
        for _ in range(len(REPLY)):
            pieces.release()
        await until(pilot, lambda: len(screen.nodes) == 2)
        await album.take("thought")
        await pilot.press("ctrl+t")
        await album.take("thought-open")
        await _overlays(app, pilot, screen, album)
    assert album.different == []


async def _overlays(app: RwkvChatApp, pilot: Pilot[Any], screen: ChatScreen, album: Album) -> None:
    await pilot.press("f7")
    await until(pilot, lambda: isinstance(app.screen, MannerDialog))
    await album.take("manner")
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is screen)
    screen.prompt.text = "one\n\ntwo\nUser: \x1b[31mme"
    screen.show_lint()
    await until(pilot, lambda: screen.query_one(LintLine).display)
    await album.take("warning")
    await pilot.press("ctrl+r")
    await until(pilot, lambda: isinstance(app.screen, ExactScreen) and app.screen.query_one(ExactView)._rows)
    await album.take("exact")
    await pilot.press("t")
    await album.take("exact-tokens")
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is screen)


async def test_a_chat_of_another_model(
    size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, size=size) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
    monkeypatch.setattr("tests.fakes.ID", "e" * 64)
    engine = FakeEngine(feed_delay=3600)
    async with opened(tmp_path, engine, size=size) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await until(pilot, lambda: screen.query_one(ContinueBar).offering)
        await album.take("another-model")
        await pilot.press("enter")
        await until(pilot, lambda: "0 of" in str(screen.query_one("#continue-text", Static).render()))
        await album.take("reading")
    assert album.different == []
