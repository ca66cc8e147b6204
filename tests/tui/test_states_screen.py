"""The States screen: personas saved, begun from, changed; states looked into, kept and given up."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, Static

from rwkv_chat.tui import library_rows, states_details
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.states import StatesScreen
from tests.fakes import FakeEngine
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, say_to, until

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen


@asynccontextmanager
async def states(
    home: Path, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any], ChatScreen, StatesScreen]]:
    """One conversation; the States screen is open."""
    engine = FakeEngine()
    async with opened(home, engine, size=size) as (app, pilot, chat):
        await say_to(pilot, chat, "You are a pirate.")
        engine.states |= set(await app.session.library.run(_keys))
        app.animation_level = "none"
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, StatesScreen) and app.screen.use)
        assert isinstance(app.screen, StatesScreen)
        yield app, pilot, chat, app.screen


def _keys(db: sqlite3.Connection) -> list[str]:
    """Of every message that was fed."""
    return [row[0] for row in db.execute("SELECT prefix FROM node_tokens WHERE prefix IS NOT NULL")]


async def answer(app: RwkvChatApp, pilot: Pilot[Any], text: str) -> None:
    await until(pilot, lambda: isinstance(app.screen, Ask))
    app.screen.query_one("#answer", Input).value = text
    await pilot.press("enter")


async def saved(app: RwkvChatApp, pilot: Pilot[Any], screen: StatesScreen, name: str) -> None:
    await pilot.press("s")
    await answer(app, pilot, name)
    await until(pilot, lambda: name in [each.name for each in screen.personas.values()], name)


def said(screen: StatesScreen) -> str:
    return str(screen.query_one("#states-said", Static).render())


def facts(screen: StatesScreen) -> str:
    return str(screen.query_one("#state-facts", Static).render())


async def test_a_persona_is_saved_and_a_chat_begins_from_it(tmp_path: Path) -> None:
    async with states(tmp_path) as (app, pilot, chat, screen):
        assert screen.has_class("-nothing")
        await saved(app, pilot, screen, "Pirate")
        assert "Enter begins a chat" in said(screen)
        assert "You are a pirate." in facts(screen)
        before = chat.thread_id
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is chat and chat.thread_id != before and chat.nodes)
        assert chat.nodes[0].message.text == "You are a pirate."


async def test_it_is_renamed_described_tagged_and_removed(tmp_path: Path) -> None:
    async with states(tmp_path) as (app, pilot, _, screen):
        await saved(app, pilot, screen, "Pirate")
        for key, text, seen in (
            ("n", "Captain [b]", "Captain [b]"),
            ("d", "For sailors", "For sailors"),
            ("t", "#sea fun", "#sea #fun"),
        ):
            await pilot.press(key)
            await answer(app, pilot, text)
            await until(pilot, lambda seen=seen: seen in facts(screen), seen)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes")
        await until(pilot, lambda: screen.personas == {})


async def test_states_are_looked_into_and_compared(tmp_path: Path) -> None:
    async with states(tmp_path) as (app, pilot, _, screen):
        await saved(app, pilot, screen, "Pirate")
        await saved(app, pilot, screen, "Sailor")
        await pilot.press("l")
        await until(pilot, lambda: "Strength of the memory" in facts(screen) or app._notifications)
        await pilot.press("home", "space", "space", "l")
        await until(pilot, lambda: "From Pirate to Sailor" in facts(screen) or app._notifications)
        await pilot.press("escape")
        await until(pilot, lambda: not screen.rows.marked)


async def test_conversations_are_pinned_thinned_and_the_budget_is_set(tmp_path: Path) -> None:
    async with states(tmp_path) as (app, pilot, chat, screen):
        await pilot.press("v")
        await until(pilot, lambda: screen.chat() is not None)
        await pilot.press("p")
        await until(pilot, lambda: "never given up" in facts(screen))
        await pilot.press("g")
        await until(pilot, lambda: "Given up:" in said(screen))
        await pilot.press("b")
        await answer(app, pilot, "a lot")
        await until(pilot, lambda: "number of GB" in said(screen))
        await pilot.press("b")
        await answer(app, pilot, "2.5")
        await until(pilot, lambda: "in force" in said(screen))
        engine: Any = screen.desk.session._engine
        assert engine.budgets == (2_500_000_000, None)
        await answer(app, pilot, "1,5")  # of memory, asked for next
        await until(pilot, lambda: engine.budgets == (2_500_000_000, 1_500_000_000))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is chat)


@pytest.mark.parametrize("size", [SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
async def test_pictures(
    size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def day(_seconds: float) -> str:
        return "2026-01-31 09:26"

    for each in (library_rows, states_details):
        monkeypatch.setattr(each, "date_of", day)
    async with states(tmp_path, size) as (app, pilot, _, screen):
        album = Album(app, pilot, snapshot)
        await album.take("empty")
        await saved(app, pilot, screen, "Pirate")
        await album.take("persona")
        await pilot.press("v")
        await until(pilot, lambda: screen.chat() is not None)
        await album.take("chats")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await album.take("budget")
    assert album.different == []


def test_a_picture_of_heads_is_as_wide_as_it_may_be() -> None:
    rows = states_details._picture([[float(each) for each in range(64)], [0.0] * 64, [float("nan")] * 4])
    assert len(rows) == 3
    assert all(each.cell_length <= 4 + states_details.MOST_HEADS + 10 for each in rows)
    assert states_details._picture([]) == []
