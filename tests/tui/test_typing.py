"""Typing faster than the screen works: keys are taken in their order, and none is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events

from tests.fakes import FakeEngine
from tests.tui.helpers import opened, until

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.tui.app import RwkvChatApp


def burst(app: RwkvChatApp, keys: str) -> None:
    """Keys as a terminal delivers them at once, with nothing done in between; "\\r" is Enter."""
    for each in keys:
        key = {"\r": "enter", " ": "space", "\n": "ctrl+j"}.get(each, each)
        printable = each if each.isprintable() else None
        app.post_message(events.Key(key, printable))


async def test_enter_does_not_overtake_the_letters_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        burst(app, "one two\n3\rand more")
        await until(pilot, lambda: screen.live is None and len(screen.nodes) == 2, "the reply")
        assert screen.nodes[0].message.text == "one two\n3"
        assert screen.prompt.text == "and more"


async def test_a_message_that_cannot_go_yet_stands_before_what_was_typed_since(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([" word" * 2000], delay=0.005)) as (app, pilot, screen):
        burst(app, "first\rsecond\rthird")
        await until(pilot, lambda: screen.prompt.text.endswith("third"), "what was typed since")
        await pilot.press("escape")
        await until(pilot, lambda: screen.live is None and len(screen.nodes) == 2, "the stopped reply")
        assert screen.nodes[0].message.text == "first"
        assert screen.prompt.text == "second\nthird"
