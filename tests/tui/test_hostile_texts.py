"""Titles, file names and messages from elsewhere: drawn as they are, never as markup or escape codes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from rwkv_chat.tui.completion import Offer
from rwkv_chat.tui.screens.picking import Pick
from tests.fakes import FakeEngine
from tests.tui.helpers import opened, say_to, until

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.tui.app import RwkvChatApp
    from tests.conftest import Sample

PARTS = (
    *("[red]", "[/]", "[/red]", "[@click=app.quit]", "[bold", "[link=file:///etc/passwd]", "\\[", "]"),
    *("\x1b[31m", "\x1b]52;c;eA==\x07", "\x1b]8;;file:///x\x1b\\", "\x9b2J", "\x00", "\x07", "\r", "\u202e"),
    *("\u2066", "\ud800", "\U000e0041", "<b>", "**", "`", "\n", "```\n", "| a |", "e\u0301", "状態", "word "),
)
FORBIDDEN = {*map(chr, (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))), "\u202e", "\u2066", "\ud800"}


def hostile(draw: random.Random) -> str:
    return "".join(draw.choices(PARTS, k=draw.randint(1, 12)))


def drawn(app: RwkvChatApp) -> str:
    """Every character that stands on the screen."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "".join(segment.text for strip in lines[:height] for segment in strip)[: width * height * 4]


async def test_texts_from_elsewhere_steer_nothing(tmp_path: Path, sample: Sample) -> None:
    draw = random.Random(8)
    async with opened(tmp_path, FakeEngine([hostile(draw) + " x" for _ in range(40)])) as (
        app,
        pilot,
        screen,
    ):
        for _ in range(sample("hostile texts on the screen", 8, 300)):
            await pilot.press("ctrl+n")
            await until(pilot, lambda: screen.shown_id is None)
            await say_to(pilot, screen, f"x {hostile(draw)}".replace("\ud800", ""))
            assert screen.thread is not None
            await screen.chats.rename(screen.thread.id, hostile(draw).replace("\ud800", ""))
            await screen.refresh_list()
            screen.queue(hostile(draw))
            screen.completions.show([Offer(hostile(draw), "/x", hostile(draw)), Offer(hostile(draw))])
            await pilot.pause()
            assert not FORBIDDEN & set(drawn(app))
            screen.completions.show(())
            screen.take_waiting(screen.thread.id)
            app.clear_notifications()
            app.push_screen(Pick("?", [(hostile(draw), hostile(draw)), ("", hostile(draw))]))
            await until(pilot, lambda: isinstance(app.screen, Pick))
            assert not FORBIDDEN & set(drawn(app))
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)
        assert app.is_running
