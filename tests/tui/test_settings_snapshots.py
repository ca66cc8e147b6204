"""Pictures of the settings, the log, a problem and the help, small, wide and narrow; and of the chat in the
themes that matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import OptionList, Static

from engine.errors import OutOfMemory
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.log import LogScreen
from rwkv_chat.tui.screens.settings import SettingsScreen
from rwkv_chat.tui.widgets.setting_list import SettingList
from tests.fakes import FakeEngine
from tests.tui.album import Album
from tests.tui.helpers import NARROW, WIDE, opened, say_to, until

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp

TINY = (60, 20)
LOG = """\
2026-01-02 03:04:05,678 INFO rwkv_chat.session.models: a model of 24 layers
2026-01-02 03:04:06,789 WARNING rwkv_chat.tui.desk: 設定が読めません
2026-01-02 03:04:07,890 ERROR engine: a line so long that it has to go on in the next one, wherever that is
"""
REPLY = " Here is **a reply** with `code`:\n\n```python\nprint(1)\n```\n\n> 重点：内容"
THEMES = ("rwkv-light", "contrast-dark", "contrast-light", "ansi-dark", "ansi-light")


@pytest.fixture(params=[NARROW, WIDE, TINY], ids=["80x24", "120x40", "60x20"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


async def test_settings_and_log(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with opened(tmp_path, size=size, keymap={"chat.new": "f11"}, threads=3) as (app, pilot, _):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await _settings(app, pilot, album)
        await _log(app, pilot, album)
    assert album.different == []


async def _settings(app: RwkvChatApp, pilot: Pilot[Any], album: Album) -> None:
    await pilot.press("f12")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
    rows = app.screen.query_one(SettingList)
    path = say("app.settings.file", path="/home/me/.config/rwkv-chat/settings.toml")
    app.screen.query_one("#settings-file", Static).update(path)
    rows.highlighted = rows.get_option_index("set.threads")
    await album.take("settings")
    rows.highlighted = rows.get_option_index("set.theme")
    await pilot.press("enter")
    await until(pilot, lambda: app.screen.query("#values"))
    app.screen.query_one("#values", OptionList).highlighted = 5
    await album.take("theme")
    await pilot.press("escape", "slash", *"new chat")
    await until(pilot, lambda: rows.current == "key.chat.new")
    await pilot.press("enter", "enter")
    await until(pilot, lambda: not isinstance(app.screen, SettingsScreen))
    await album.take("press")
    await pilot.press("f5")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
    await album.take("taken")
    await pilot.press("escape", "slash", *"zzz")
    await until(pilot, lambda: rows.current is None)
    await album.take("nothing")
    await pilot.press("escape", "escape")


async def _log(app: RwkvChatApp, pilot: Pilot[Any], album: Album) -> None:
    app.session.paths.logs.mkdir(parents=True, exist_ok=True)
    app.session.paths.log_file.write_text(LOG, encoding="utf-8")
    app.action_log()
    await until(pilot, lambda: isinstance(app.screen, LogScreen) and app.screen.lines)
    await album.take("log")
    await pilot.press("escape")
    await until(pilot, lambda: not isinstance(app.screen, LogScreen))
    await pilot.press("ctrl+l", "f1")
    await until(pilot, lambda: app.screen.query("#help"))
    await album.take("help-of-the-library")


async def test_a_problem(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    engine = FakeEngine(load_error=OutOfMemory(3_060_000_000, 900_000_000))
    async with opened(tmp_path, engine, size=size) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await until(pilot, lambda: screen.query("#problem Button"))
        await album.take("problem")
    assert album.different == []


async def test_themes(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with opened(tmp_path, FakeEngine([REPLY]), size=NARROW) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await say_to(pilot, screen, "hello")
        for theme in THEMES:
            app.theme = theme
            await album.take(theme)
    assert album.different == []
