"""Habits: the foot always says how to get help and out, Ctrl+C never ends the program, nothing needs colours,
and the first start leads to a model that speaks.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from textual.widgets import Static

from rwkv_chat.texts import DEFAULT_LANGUAGE, languages, say
from rwkv_chat.tui.bindings import BINDINGS
from rwkv_chat.tui.modes import MODES
from rwkv_chat.tui.screens.welcome import WelcomeScreen
from rwkv_chat.tui.starters import starters
from tests.tui.helpers import opened, say_to, toasts, until
from tests.tui.shelf import fits, offer, some_models
from tests.tui.test_every_text import speaking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.session.shelf_types import Offer

SIZES = [(60, 20), (80, 24), (120, 40)]
WAYS = {row.id.partition(".")[2]: row.keys for row in BINDINGS if row.action.startswith("switch_mode")}


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_help_and_quit_stand_at_the_foot_of_every_screen(size: tuple[int, int], tmp_path: Path) -> None:
    async with opened(tmp_path, size=size, shelf=some_models()) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        for mode in MODES:
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode and app.screen.query("KeyFooter"))
            foot = app.screen.query_one("KeyFooter", Static)
            await until(pilot, lambda foot=foot: "Quit" in str(foot.render()))
            words = str(foot.render())
            assert "F1 Help" in words, mode
            assert "^Q Quit" in words, mode
            assert len(words) <= size[0] - 4, mode


@pytest.mark.parametrize("language", [each for each in languages() if each != DEFAULT_LANGUAGE])
async def test_they_stand_there_in_every_language(language: str, tmp_path: Path) -> None:
    async with speaking(tmp_path, language, SIZES[0]) as (app, pilot, _):
        ways = [say(f"keys.app.{name}.label") for name in ("help", "quit")]
        for (width, height), mode in product(SIZES[:2], MODES):
            await pilot.resize_terminal(width, height)
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode and app.screen.query("KeyFooter"))
            foot = app.screen.query_one("KeyFooter", Static)
            await until(pilot, lambda width=width, foot=foot: foot.content_size.width == width - 4)
            await until(pilot, lambda foot=foot: all(each in str(foot.render()) for each in ways), mode)
            assert cell_len(str(foot.render())) <= width - 4, mode


def test_every_screen_has_a_key() -> None:
    assert WAYS.keys() == MODES.keys() - {"chat"}


async def test_ctrl_c_says_what_quits_and_quits_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, _):
        for mode in MODES:
            app.switch_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode)
            await pilot.press("ctrl+c", "ctrl+c", "ctrl+c")
            assert app.return_value is None
        assert any("Ctrl+Q" in each for each in toasts(app))


async def test_a_click_on_the_foot_does_what_the_key_does(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (app, pilot, screen):
        foot = screen.query_one("KeyFooter", Static)
        await until(pilot, lambda: "Help" in str(foot.render()))
        at = str(foot.render()).index("Help")
        await pilot.click("KeyFooter", offset=(at + 2 + 1, 0))
        await until(pilot, lambda: app.screen.query("#help"))


@pytest.mark.parametrize(("mouse", "last"), [(True, "h"), (False, "l")])
async def test_the_mouse_is_taken_or_left(mouse: bool, last: str, tmp_path: Path) -> None:
    async with opened(tmp_path, mouse=not mouse) as (app, _, _):
        sent: list[str] = []
        app.send = lambda sequence: sent.append(sequence)
        await app.desk.change(mouse=mouse)
        assert sent == [f"\x1b[?1000{last}\x1b[?1003{last}\x1b[?1015{last}\x1b[?1006{last}"]


# ------------------------------------------------------------------------------------------- the first start


@pytest.mark.parametrize(
    ("offers", "names"),
    [
        ([offer("a-0.1b", 0.38), offer("a-0.4b", 0.9), offer("a-1.5b", 3.1)], ["a-0.1b", "a-0.4b"]),
        ([offer("a-2.9b", 5.9, advice=True), offer("a-0.4b", 0.9)], ["a-0.4b", "a-2.9b"]),
        ([offer("a-0.1b", 0.38, here=Path("/x")), offer("a-0.4b", 0.9)], ["a-0.4b"]),
        ([offer("a-0.1b", 0.38, fits=())], []),
        ([offer("huge", 99.0, fits=fits(99_000_000_000))], []),
        ([], []),
    ],
)
def test_the_smallest_that_fit_and_what_is_advised(offers: Sequence[Offer], names: list[str]) -> None:
    assert [each.name for each in starters(offers)] == names


def test_size_and_time_are_told() -> None:
    (found,) = starters([offer("a-0.4b", 0.9)])
    assert "900 MB" in found.words
    assert "1 min 30 s" in found.words  # at 10 MB a second


async def test_a_model_that_is_chosen_at_the_first_start_is_used_when_it_is_here(tmp_path: Path) -> None:
    shelf = some_models()
    async with opened(tmp_path, first_run=True, shelf=shelf) as (app, pilot, screen):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen) and app.screen.starters)
        await pilot.press("enter", "down", "enter")
        assert "g1h-1.5b" in str(app.screen.query_one("#welcome-coming", Static).render())
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen and "g1h-1.5b" in shelf.pulls)
        used: list[Path | None] = []

        async def use(path: Path | None) -> None:
            used.append(path)

        app.desk.use = use
        at = next(n for n, each in enumerate(shelf.can_be_had) if each.name == "g1h-1.5b")
        shelf.can_be_had[at] = offer("g1h-1.5b", 3.06, here=Path("/models/g1h-1.5b.pth"))
        shelf.pulls["g1h-1.5b"].finish()
        await until(pilot, lambda: used == [Path("/models/g1h-1.5b.pth")])


async def test_without_offers_the_first_start_goes_on_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, first_run=True) as (app, pilot, screen):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: app.screen is screen)
        await until(pilot, lambda: app.session.settings.first_run_done)
