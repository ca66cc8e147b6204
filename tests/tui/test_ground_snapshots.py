"""Every main screen on a light ground, in a terminal's own colours, and without any (`NO_COLOR`)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Static

from rwkv_chat.texts import say
from rwkv_chat.tui import library_rows
from rwkv_chat.tui.app import RwkvChatApp
from rwkv_chat.tui.modes import MODES
from rwkv_chat.tui.screens import shelf as shelf_screen
from tests.fakes import FakeEngine
from tests.tui.album import Album
from tests.tui.helpers import NARROW, opened, say_to, until
from tests.tui.shelf import GB, some_models
from tests.tui.test_tune_screen import some_runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot


REPLY = " Here is **a reply** with `code`:\n\n```python\nprint(1)\n```\n\n> 重点：内容 👩‍👩‍👧 🇩🇪"
THEMES = ("rwkv-light", "ansi-dark", "ansi-light")


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """One day, one room on the disk, one theme in the settings."""
    monkeypatch.setattr(RwkvChatApp, "remember_theme", lambda *_: None)  # the settings would show it, late
    monkeypatch.setattr(library_rows, "date_of", lambda _seconds: "2026-01-31 09:26")
    monkeypatch.setattr(shelf_screen, "free_bytes", lambda _folder: 410 * GB)


async def test_every_screen(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with _talked(tmp_path) as (app, pilot):
        album = Album(app, pilot, snapshot)
        for mode in MODES:
            await _shown(app, pilot, mode)
            for theme in THEMES:
                app.theme = theme
                await album.take(f"{mode}-{theme}")
    assert album.different == []


async def test_without_colours(
    tmp_path: Path, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with _talked(tmp_path) as (app, pilot):
        album = Album(app, pilot, snapshot)
        for mode in ("chat", "models", "settings"):
            await _shown(app, pilot, mode)
            await album.take(mode)
    assert album.different == []


@asynccontextmanager
async def _talked(home: Path) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any]]]:
    """The app with something on each screen."""
    async with opened(home, FakeEngine([REPLY]), size=NARROW, shelf=some_models(), reduced_motion=True) as (
        app,
        pilot,
        screen,
    ):
        app.session.tunes = some_runs()  # pyright: ignore[reportAttributeAccessIssue]  the few that are asked for
        await say_to(pilot, screen, "Hello 👨‍👩‍👧‍👦 e\u0301")
        yield app, pilot


async def _shown(app: RwkvChatApp, pilot: Pilot[Any], mode: str) -> None:
    app.switch_mode(mode)
    await until(pilot, lambda: app.current_mode == mode and app.screen.query("KeyFooter"))
    screen: Any = app.screen
    if mode == "models":
        await until(pilot, lambda: screen.free)
    elif mode == "tune":
        await until(pilot, lambda: len(screen.live.train) == 40)
    elif mode == "library":
        await until(pilot, lambda: screen.query_one("#conversations").option_count)
    elif mode == "settings":
        path = say("app.settings.file", path="/home/me/.config/rwkv-chat/settings.toml")
        screen.query_one("#settings-file", Static).update(path)
