"""Pictures of the sampling panel, presets, tokens and a reply that has paused, at three sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.presets import save
from rwkv_chat.tui.screens.presets import PresetsDialog
from rwkv_chat.tui.screens.tokens import TokensScreen
from rwkv_chat.tui.widgets.repeat_bar import RepeatBar
from tests.fakes import FakeEngine, FakeReply
from tests.tui.album import Album
from tests.tui.helpers import opened, say_to, until

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

SAID = " It was 1969.\n\n\tYes\x1b[31m: 你好, and so on.  \n"
SIZES = {"60x20": (60, 20), "80x24": (80, 24), "120x40": (120, 40)}
THEMES = {"60x20": "ansi-dark", "80x24": "rwkv-light", "120x40": "rwkv-dark"}


@pytest.mark.parametrize("size", SIZES)
async def test_sampling_and_tokens(size: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    engine = FakeEngine([SAID, FakeReply(" la la la la la la", reason="repeats")])
    async with opened(tmp_path, engine, size=SIZES[size], theme=THEMES[size]) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        save(app.session.paths.presets, "My [b]own[/b] 你好", {"temperature": 0.8})
        await say_to(pilot, screen, "When?")
        await pilot.press("f4", "up")
        await until(pilot, lambda: screen.choices.own)
        await album.take(f"panel-{size}")
        await pilot.click("#sampling-preset")
        await until(pilot, lambda: isinstance(app.screen, PresetsDialog))
        await album.take(f"presets-{size}")
        await pilot.press("escape", "f4", "ctrl+f")
        await until(pilot, lambda: isinstance(app.screen, TokensScreen) and len(app.screen.rows) > 30)
        await pilot.press("n")
        await album.take(f"tokens-{size}")
        await pilot.press("escape")
        await say_to(pilot, screen, "sing")
        await until(pilot, lambda: screen.query_one(RepeatBar).display)
        await album.take(f"repeats-{size}")
    assert album.different == []
