"""Pictures of every screen, in a small and a wide terminal. `pytest tests/tui/test_snapshots.py
--snapshot-update` takes them anew; look at them before committing.

One app walks through its screens and is compared at each, because starting it costs more than drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.command import CommandPalette
from textual.widgets import OptionList, Static

from engine.errors import OutOfMemory
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.help import HelpScreen
from rwkv_chat.tui.screens.welcome import WelcomeScreen
from tests.fakes import FakeEngine, FakeReply
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, say_to, shown, until
from tests.tui.shelf import some_models

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen

REPLY = """ Here is **what I know** about `Array<int>`:

1. One item that is long enough to wrap around the edge of the column, so that we can see it hang.
2. Two

```python
def greet(name: str) -> str:
    return f"hello {name}"  # 42
```

> A quote stands here.

| key | does |
|---|---|
| F5 | regenerate |
| Esc | stop |

**重点：**内容，你好。"""


@pytest.fixture(params=[SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


async def test_every_screen(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    engine = FakeEngine(
        [REPLY, FakeReply("", error=OutOfMemory(3_060_000_000, 900_000_000)), " A short one."], delay=0.001
    )
    async with opened(tmp_path, engine, size=size, first_run=True, shelf=some_models()) as (
        app,
        pilot,
        screen,
    ):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await _start(app, pilot, screen, album)
        await _conversation(pilot, screen, album)
        await _overlays(app, pilot, screen, album)
        await _themes(app, album)
    assert album.different == []


async def _start(app: RwkvChatApp, pilot: Pilot[Any], screen: ChatScreen, album: Album) -> None:
    await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
    await until(pilot, lambda: app.screen.query_one("#starters", OptionList).option_count > 1)
    folder = say("app.welcome.data", folder="/home/me/.local/share/rwkv-chat")
    app.screen.query_one("#welcome-folder", Static).update(folder)
    await album.take("welcome")
    await pilot.press("enter")
    await album.take("welcome-models")
    await pilot.press("enter")
    await album.take("welcome-data")
    await pilot.press("enter")
    await until(pilot, lambda: app.screen is screen)
    await album.take("empty")
    await pilot.press(*"hello", "ctrl+j", *"there")
    await album.take("typing")


async def _conversation(pilot: Pilot[Any], screen: ChatScreen, album: Album) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: len(screen.nodes) == 2)
    await album.take("reply")
    await pilot.press("f4")
    await album.take("sampling")
    await pilot.press("f4")
    await pilot.press("ctrl+n")
    await until(pilot, lambda: screen.thread is None)
    screen.prompt.text = "too much"
    await pilot.press("enter")
    await until(pilot, lambda: "F5" in shown(screen))
    await album.take("error")
    await pilot.press("f5")
    await until(pilot, lambda: len(screen.nodes) == 2)
    await say_to(pilot, screen, "again")
    await album.take("two-chats")


async def _overlays(app: RwkvChatApp, pilot: Pilot[Any], screen: ChatScreen, album: Album) -> None:
    for key, kind, name in (
        ("f1", HelpScreen, "help"),
        ("f2", Ask, "rename"),
        ("f8", Confirm, "delete"),
        ("ctrl+p", CommandPalette, "palette"),
    ):
        await pilot.press(key)
        await until(pilot, lambda kind=kind: isinstance(app.screen, kind))
        if kind is CommandPalette:
            await pilot.press(*"chat")
            await until(pilot, lambda: app.screen.query_one("CommandList", OptionList).option_count > 3)
        await album.take(name)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def _themes(app: RwkvChatApp, album: Album) -> None:
    app.theme = "rwkv-light"
    await album.take("light")
