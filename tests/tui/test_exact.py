"""The exact prompt on the screen: what it shows of what is typed is what sending that feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat.tui.screens.exact import ExactScreen
from rwkv_chat.tui.screens.replies import RepliesScreen
from rwkv_chat.tui.screens.writing import WritingScreen
from rwkv_chat.tui.widgets.exact_view import ExactView
from tests.fakes import FakeEngine, FakeReply
from tests.tui.helpers import NARROW, opened, say_to, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from engine.types import TokenIds
    from rwkv_chat.tui.app import RwkvChatApp

ASKED = "What is this?"


async def looked(app: RwkvChatApp, pilot: Pilot[Any]) -> TokenIds:
    """What is shown, to the last row; the view is left again."""
    below = app.screen
    await pilot.press("ctrl+r")
    await until(pilot, lambda: isinstance(app.screen, ExactScreen), "the exact prompt")
    screen = app.screen
    assert isinstance(screen, ExactScreen)
    view = screen.query_one(ExactView)
    await until(pilot, lambda: view.row_count)
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is below)
    return screen.exact.tokens


def fed(engine: FakeEngine) -> TokenIds:
    return (*engine.requests[-1].history, *engine.requests[-1].prompt)


async def asked_again(engine: FakeEngine, pilot: Pilot[Any], before: int, done: Callable[[], object]) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: len(engine.requests) > before and done(), "the reply")


@pytest.mark.parametrize("typed", ["\n and then? \n", "//aside", "/begin Once upon", "/continue", "/nothing"])
async def test_what_is_typed_is_shown_as_it_would_be_fed(typed: str, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" A chat", reason="length"), " more"])
    async with opened(tmp_path, engine, size=NARROW) as (app, pilot, screen):
        await say_to(pilot, screen, ASKED)
        screen.prompt.load(typed)
        shown = await looked(app, pilot)
        await asked_again(engine, pilot, 1, lambda: screen.live is None)
        assert shown == fed(engine)


@pytest.mark.parametrize("typed", ["/aside and beside it?", "/alt 2"])
async def test_asides_and_several_replies_too(typed: str, tmp_path: Path) -> None:
    engine = FakeEngine([" A chat.", FakeReply(" One", others=(" Two",))])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await say_to(pilot, screen, ASKED)
        screen.prompt.load(typed)
        shown = await looked(app, pilot)
        await asked_again(engine, pilot, 1, lambda: isinstance(app.screen, RepliesScreen))
        assert shown == fed(engine)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen and screen.live is None)


async def test_of_a_new_chat_as_it_was_chosen(tmp_path: Path) -> None:
    from rwkv_chat.tui.choices import Choices

    engine = FakeEngine([" <think>hm</think>\nYes."])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        screen.pending = Choices("classic", "bit")
        screen.prompt.load(ASKED)
        shown = await looked(app, pilot)
        await asked_again(engine, pilot, 0, lambda: screen.live is None)
        assert shown == fed(engine)


async def test_of_a_text_what_stands_before_the_cursor(tmp_path: Path) -> None:
    engine = FakeEngine([" a fox"])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await screen.do_text()
        await until(pilot, lambda: isinstance(app.screen, WritingScreen))
        writing = app.screen
        assert isinstance(writing, WritingScreen)
        writing.area.text = "Once there was, the end"
        writing.area.move_cursor((0, len("Once there was")))
        shown = await looked(app, pilot)
        await pilot.press("f5")
        await until(pilot, lambda: engine.requests and writing.live is None, "what the model wrote")
        assert shown == fed(engine)
        assert len(shown) == len("Once there was") + (shown[0] == 0)
