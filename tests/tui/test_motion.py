"""Reduced motion: nothing slides, nothing blinks, and nothing is drawn again by a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual._animator import SimpleAnimation
from textual.widget import Widget
from textual.widgets import Input, LoadingIndicator, TextArea

from rwkv_chat.tui.modes import MODES
from tests.tui.helpers import NARROW, opened, say_to, until
from tests.tui.shelf import some_models

if TYPE_CHECKING:
    from pathlib import Path

    from textual.types import AnimationLevel

    from rwkv_chat.tui.app import RwkvChatApp

OVER_THE_CHAT = ("f1", "f2", "f7", "ctrl+e", "ctrl+p")


@pytest.fixture
def slid(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """For each step of an animation, what the app allows, and whether it was the last one."""
    steps: list[tuple[str, bool]] = []
    step = SimpleAnimation.__call__

    def noted(self: SimpleAnimation, time: float, level: AnimationLevel = "full") -> bool:
        ended = step(self, time, level)
        steps.append((level, ended))
        return ended

    monkeypatch.setattr(SimpleAnimation, "__call__", noted)
    return steps


@pytest.mark.parametrize("still", [True, False])
async def test_what_scrolls_is_there_at_once(
    still: bool, slid: list[tuple[str, bool]], tmp_path: Path
) -> None:
    async with opened(tmp_path, size=NARROW, reduced_motion=still) as (app, pilot, _):
        await pilot.press("f1")
        await until(pilot, lambda: app.screen.query("#help"))
        help_ = app.screen.query_one("#help")
        await pilot.press("end")
        await until(pilot, lambda: help_.scroll_y == help_.max_scroll_y > 0)
        await until(pilot, lambda: slid and slid[-1][1])
        if still:
            assert set(slid) == {("none", True)}, "the first step is the last"
        else:
            assert {level for level, _ in slid} == {"full"}


async def test_nothing_moves_by_itself_on_any_screen(tmp_path: Path) -> None:
    async with opened(
        tmp_path, size=NARROW, shelf=some_models(), reduced_motion=True, show_sampling=True
    ) as (
        app,
        pilot,
        screen,
    ):
        await say_to(pilot, screen, "hello")
        seen = _still(app)
        for key in OVER_THE_CHAT:
            await pilot.press(key)
            await until(pilot, lambda: app.screen is not screen)
            seen += _still(app)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)
        for mode in MODES:
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode and app.screen.query("KeyFooter"))
            for box in app.screen.query(Input):
                box.focus()
                await until(pilot, lambda box=box: box.has_focus)
                seen += _still(app)
        assert seen > len(MODES), "there were boxes to look at"


def _still(app: RwkvChatApp) -> int:
    """Nothing of the screen is drawn again by a clock; how many boxes with a cursor have the keys."""
    clocked = [each for each in app.screen.walk_children(Widget) if each.auto_refresh]
    assert [each for each in clocked if not isinstance(each, LoadingIndicator)] == []
    assert {str(each.render()) for each in clocked} <= {"Loading..."}, "the palette's waits without moving"
    if not isinstance(app.focused, Input | TextArea):
        return 0
    box: Any = app.focused
    timer = box.blink_timer if isinstance(box, TextArea) else box._blink_timer
    assert not timer._active.is_set()
    assert box._cursor_visible
    return 1
