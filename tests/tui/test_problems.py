"""Problems are shown where they happen, with what can be done; the log and the diagnostics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from textual.widgets import Button, Input, Static

from engine.errors import OutOfMemory, Unexpected, WorkerDied
from rwkv_chat.tui.commands import Everything
from rwkv_chat.tui.problems import ACTIONS, BY_TYPE, actions_for
from rwkv_chat.tui.screens.log import LogScreen
from rwkv_chat.tui.screens.messages import MessagesScreen
from tests.fakes import FakeEngine
from tests.tui.helpers import opened, say_to, toasts, until
from tests.tui.shelf import some_models

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.tui.screens.chat import ChatScreen


def offered(screen: ChatScreen) -> list[str | None]:
    return [each.name for each in screen.query_one("#problem").query(Button)]


def test_every_action_is_one_that_there_is() -> None:
    assert {name for names in BY_TYPE.values() for name in names} <= set(ACTIONS)
    assert actions_for(OSError()) == ("retry", "log")


async def test_a_process_that_ends_while_nobody_waits_is_not_ready_any_more(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, screen):
        assert app.desk.model.ready
        assert engine.on_death is not None
        engine.on_death(WorkerDied(-9, "memory"))
        await until(pilot, lambda: not app.desk.model.ready and screen.query_one("#problem").display)
        assert "not loaded" in str(screen.query_one("#status", Static).render())
        assert "exit code -9" in str(screen.query_one("#problem-text", Static).render())
        await until(pilot, lambda: offered(screen) == ["retry", "free", "log"])
        await pilot.click("#problem-actions Button")
        await until(pilot, lambda: app.desk.model.ready)
        assert not screen.query_one("#problem").display
        await say_to(pilot, screen, "hello")


async def test_too_little_memory_offers_to_free_some(tmp_path: Path) -> None:
    engine = FakeEngine(load_error=OutOfMemory(3, 1))
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await until(pilot, lambda: offered(screen) == ["free", "retry"])
        told: list[int | None] = []
        engine.budget = lambda disk, ram: told.append(ram)  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.click("#problem-actions Button")
        await until(pilot, lambda: told == [1, None])
        assert any("no longer kept in memory" in each for each in toasts(app))


async def test_the_log_is_shown_searched_and_copied(tmp_path: Path) -> None:
    engine = FakeEngine(load_error=Unexpected("ValueError", ""))
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await until(pilot, lambda: offered(screen) == ["log", "diagnostics", "retry"])
        app.session.paths.logs.mkdir(parents=True, exist_ok=True)
        app.session.paths.log_file.write_text("one ERROR x\ntwo INFO [b]\x1b[31m\n")
        logging.getLogger("rwkv_chat").debug("nothing")
        await pilot.click("#problem-actions Button")
        await until(pilot, lambda: isinstance(app.screen, LogScreen) and app.screen.lines)
        assert isinstance(app.screen, LogScreen)
        assert app.screen.shown == ["one ERROR x", "two INFO [b][31m"]
        await pilot.press("slash", *"info")
        await until(pilot, lambda: len(app.screen.shown) == 1)  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("enter", "c")
        await until(pilot, lambda: app.clipboard == "two INFO [b][31m")
        await pilot.press("escape")
        assert app.screen.query_one(Input).value == ""
        with app.session.paths.log_file.open("a") as log:
            log.write("three WARNING y\n")
        await until(pilot, lambda: "three WARNING y" in app.screen.shown)  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("d")
        await until(pilot, lambda: app.clipboard.startswith("{"))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_help_and_quit_work_over_an_overlay(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: isinstance(app.screen, MessagesScreen))
        footer = str(app.screen.query_one("KeyFooter", Static).render())
        assert "Help" in footer
        assert "Quit" in footer
        await pilot.press("f1")
        await until(pilot, lambda: app.screen.query("#help"))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MessagesScreen))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_value == 0)


async def test_the_palette_reaches_everything(tmp_path: Path) -> None:
    async with opened(tmp_path, shelf=some_models()) as (app, pilot, screen):
        await say_to(pilot, screen, "about ravens")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.screen is not screen)
        labels = [each.label for each in await Everything(app.screen).find()]
        for wanted in (
            *("Open: about ravens", "Use the model: rwkv7-g1d-0.4b", "Theme: contrast-dark", "Mouse: off"),
            *("Open the log", "Copy diagnostics", "Free memory", "Quit", "Settings", "Language: English"),
        ):
            assert wanted in labels, wanted
        assert sum(each.startswith("Sampling: ") for each in labels) >= 5
