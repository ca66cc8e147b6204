"""Every language in a window of 80 × 24: no heading, button or key at the foot is cut."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from rwkv_chat import texts
from rwkv_chat.texts import DEFAULT_LANGUAGE, languages, say, spoken
from rwkv_chat.tui.modes import MODES
from rwkv_chat.tui.screens.chat import ChatScreen
from rwkv_chat.tui.widgets.key_footer import ALWAYS, KeyFooter
from tests.tui.fitting import cut
from tests.tui.helpers import NARROW, opened, say_to, until
from tests.tui.shelf import some_models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot
    from textual.screen import Screen
    from textual.widget import Widget

    from rwkv_chat.tui.app import RwkvChatApp


@pytest.fixture(params=languages())
def language(request: pytest.FixtureRequest) -> str:
    return request.param


@asynccontextmanager
async def speaking(home: Path, language: str) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any], ChatScreen]]:
    """The app in a language, with one question and its answer; all speak English again afterwards."""
    async with opened(home, size=NARROW, shelf=some_models()) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        try:
            await app.speak(language)
            await until(pilot, lambda: app.chat is not None and app.chat.begun and spoken() == language)
            chat = app.chat
            assert isinstance(chat, ChatScreen)
            yield app, pilot, chat
        finally:
            await app.speak(DEFAULT_LANGUAGE)
            texts.use(DEFAULT_LANGUAGE)


async def test_no_screen_cuts_a_word(language: str, tmp_path: Path) -> None:
    async with speaking(tmp_path, language) as (app, pilot, _):
        for mode in MODES:
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode and _foot(app.screen))
            await until(pilot, lambda: say("keys.app.quit.label") in _words(_foot(app.screen)))
            assert cut(app.screen) == [], mode
            _look_at_foot(app)


def _foot(screen: Screen[Any]) -> KeyFooter | None:
    return next(iter(screen.query(KeyFooter)), None)


def _words(widget: Widget | None) -> str:
    return "" if widget is None else str(widget.render())


def _look_at_foot(app: RwkvChatApp) -> None:
    """It has the keys for help and for leaving, a few more, and room for all that it shows."""
    foot = _foot(app.screen)
    assert foot is not None
    assert cell_len(_words(foot)) <= foot.content_size.width
    assert all(say(f"keys.{each}.label") in _words(foot) for each in ALWAYS)
    assert len(_words(foot).split("  ")) > len(ALWAYS) + 1
