"""Pictures of what is hard to draw: a reply that stands in an open fence, wide and combining characters, what
is too long for its line; in three sizes of terminal, and in the themes that have other grounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import OutOfMemory
from rwkv_chat.session import speed
from rwkv_chat.tui.screens.presets import PresetsDialog
from rwkv_chat.tui.widgets.sampling_panel import NumberInput
from tests.fakes import FakeEngine, FakeReply
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, shown, until

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.screens.chat import ChatScreen
    from tests.tui.conftest import Clock

THEMES = ("rwkv-light", "ansi-dark", "ansi-light")
FENCE = """ Here is *how*:

1. Write it down.

```python
def greet(name: str) -> str:
    return f"hello {name}"  # 状态

for each in range(3"""
WIDE_TEXT = """ **重点：**状态是一个固定大小的记忆，不论对话多长，都只占几兆字节。

- 日本語の長い文も、句読点が行頭に来ないように折り返されます。「かぎ括弧」も、そうです。
- 한국어도 됩니다. 👩‍👩‍👧‍👦 👍🏽 e\u0301 n\u0303 ẩ ﷽

| 名前 | 値 |
|---|---|
| 状態 | 記憶 |
"""
LONG_TEXT = f""" https://example.org/{"a-path-without-an-end/" * 8}

| {" | ".join(f"column {number}" for number in range(1, 9))} |
|{"---|" * 8}
| {" | ".join("words and more words" for _ in range(8))} |

`{"code" * 40}`
"""
STREAMED = {"fence": FENCE, "wide": WIDE_TEXT, "long": LONG_TEXT}


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """The same speed in every picture, and the same time."""
    monkeypatch.setattr(speed.Speedometer, "tick", lambda *_: 150.0)


async def _streamed(
    pilot: Pilot[Any], screen: ChatScreen, engine: FakeEngine, pieces: asyncio.Semaphore, text: str
) -> None:
    """A reply of which `text` has come, and more is to come."""
    engine.replies, engine.chunk = (FakeReply(f"{text} …"),), len(text)
    await pilot.press("ctrl+n")
    await until(pilot, lambda: screen.thread is None)
    screen.prompt.text = text.split(maxsplit=1)[0]
    await pilot.press("enter")
    pieces.release()
    await until(pilot, lambda: screen.live is not None and (screen.live.text or screen.live.reasoning))
    await until(pilot, lambda: not screen.transcript._frame_due, "it is drawn")
    screen.show_status()


async def _end(pilot: Pilot[Any], screen: ChatScreen, pieces: asyncio.Semaphore) -> None:
    pieces.release()
    await until(pilot, lambda: screen.live is None)


@pytest.mark.parametrize("size", [SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
async def test_a_reply_on_its_way(
    size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion, pieces: asyncio.Semaphore
) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine, size=size) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        for name, text in STREAMED.items():
            await _streamed(pilot, screen, engine, pieces, text)
            await album.take(name)
            await _end(pilot, screen, pieces)
    assert album.different == []


@pytest.mark.parametrize("theme", THEMES)
async def test_other_grounds(
    theme: str, tmp_path: Path, snapshot: SnapshotAssertion, pieces: asyncio.Semaphore
) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine, size=NARROW, theme=theme) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await album.take("empty")
        await _streamed(pilot, screen, engine, pieces, FENCE)
        await album.take("fence")
        await _end(pilot, screen, pieces)
        await _streamed(pilot, screen, engine, pieces, " <think>They ask about 记忆.")
        await pilot.press("ctrl+t")
        await album.take("thinking")
        await _end(pilot, screen, pieces)
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(screen.focused, NumberInput))  # shown as a whole
        await album.take("sampling")
        await pilot.click("#sampling-preset")
        await until(pilot, lambda: isinstance(app.screen, PresetsDialog))
        await album.take("presets")
        await pilot.press("escape", "f4", "ctrl+n")
        await until(pilot, lambda: screen.thread is None)
        engine.replies = (FakeReply("", error=OutOfMemory(3_060_000_000, 900_000_000)),)
        screen.prompt.text = "too much"
        await pilot.press("enter")
        pieces.release()
        await until(pilot, lambda: "F5" in shown(screen))
        await album.take("error")
    assert album.different == []
