"""Pictures of what stands around a conversation's tree, in three sizes of terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.tui.screens.editing import EditDialog
from rwkv_chat.tui.screens.replies import RepliesScreen
from rwkv_chat.tui.screens.writing import WritingScreen
from tests.fakes import FakeEngine, FakeReply
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, say_to, until
from tests.tui.test_tree_screen import messages, typed

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

LONG = "A memory of fixed size that is read and written at every word. " * 6


@pytest.mark.parametrize("size", [SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
async def test_pictures(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    replies = [FakeReply(LONG), FakeReply("It is small.", others=(LONG, "状态是一个记忆。"))]
    async with opened(tmp_path, FakeEngine(replies), size=size) as (app, pilot, chat):
        app.animation_level = "none"
        album = Album(app, pilot, snapshot)
        await say_to(pilot, chat, "What is a state? [b]")
        await messages(app, pilot)
        await album.take("messages")
        await pilot.press("up", "e")
        await until(pilot, lambda: isinstance(app.screen, EditDialog))
        await album.take("edit")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)
        await typed(app, pilot, chat, "/alt 3")
        await until(pilot, lambda: isinstance(app.screen, RepliesScreen) and app.screen.live.ended)
        assert isinstance(app.screen, RepliesScreen)
        app.screen.draw()
        await pilot.press("right")
        await album.take("replies")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat and chat.live is None)
        await typed(app, pilot, chat, "/text")
        await until(pilot, lambda: isinstance(app.screen, WritingScreen))
        await album.take("writing")
    assert album.different == []
