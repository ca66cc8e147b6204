"""Pictures of a message being written: completions, folded texts, a message that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual import events

from rwkv_chat.tui.screens.picking import Pick
from tests.fakes import FakeEngine
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, say_to, until

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

REPLY = " Some words, then code:\n\n```python\nprint('状態')\n```\n\n- one **重点：**内容\n- two"


@pytest.mark.parametrize("size", [NARROW, WIDE, SMALL], ids=["80x24", "120x40", "60x20"])
async def test_a_message_on_its_way(
    size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    async with opened(tmp_path, FakeEngine([REPLY]), size=size) as (app, pilot, screen):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await say_to(pilot, screen, "Show me 状態")
        await pilot.press(*"/re")
        await until(pilot, lambda: screen.completions.display)
        await album.take("completions")
        await pilot.press("escape", "ctrl+u")
        await until(pilot, lambda: not screen.completions.display)
        app.post_message(events.Paste("a\n" * 120))
        await until(pilot, lambda: screen.prompt.text)
        screen.queue("and then [red]this[/red] 状態")
        await until(pilot, lambda: screen.waiting_line.display)
        await album.take("folded-and-waiting")
        await pilot.press("alt+y")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await album.take("parts")
    assert album.different == []
