"""The app over a fake engine, and waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import asynccontextmanager, closing
from time import monotonic
from typing import TYPE_CHECKING, Any

from rwkv_chat.paths import Paths
from rwkv_chat.session.drafts import PROMPT, Draft
from rwkv_chat.tui.app import RwkvChatApp
from rwkv_chat.tui.drafts import DraftKeeper
from rwkv_chat.tui.screens.chat import ChatScreen
from rwkv_chat.windows import Windows
from tests.fakes import CARD, FakeEngine, fake_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.session import Session
    from rwkv_chat.session.cards import ModelCard

PATIENCE = 60  # seconds: other work may hold the machine
WIDE, NARROW, SMALL = (120, 40), (80, 24), (60, 20)


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    """Let the app run until `condition` holds."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, f"never came true: {what or condition}"
        await asyncio.sleep(0.01)
    await pilot.pause()


@asynccontextmanager
async def opened(
    home: Path,
    engine: FakeEngine | None = None,
    *,
    size: tuple[int, int] = WIDE,
    card: ModelCard = CARD,
    first_run: bool = False,
    shelf: Any = None,
    windows: bool = False,
    **settings: Any,
) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any], ChatScreen]]:
    """The running app with its chat screen; the session is closed afterwards. `windows`: others see it."""
    session = await fake_session(home, engine or FakeEngine(), card=card)
    if windows:
        session.windows = Windows(session.paths.locks)
    if shelf is not None:
        session.shelf = shelf
    await session.change_settings(first_run_done=not first_run, **settings)
    app = RwkvChatApp(session)
    try:
        async with app.run_test(size=size) as pilot:
            screen = app.screen_stack[0]
            assert isinstance(screen, ChatScreen)
            await until(pilot, lambda: app.desk.model.ready or app.desk.model.error, "the model")
            yield app, pilot, screen
            await app.desk.close()
    finally:
        await session.close()


async def on_disk(session: Session) -> dict[str | None, Draft]:
    """This window's drafts of prompts."""
    return {each.thread: each.draft for each in await session.drafts.mine() if each.place == PROMPT}


@asynccontextmanager
async def after_a_kill(session: Session) -> AsyncIterator[DraftKeeper]:
    """The drafts that the next start would have if this window died now: on a copy of its folder."""
    copy = session.paths.data.parent.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    paths = Paths.under(copy).make()
    await session.library.run(_copy, paths.database)
    later = await fake_session(copy)
    try:
        keeper = DraftKeeper(later)
        await keeper.load()
        yield keeper
        await keeper.close()
    finally:
        await later.close()


def _copy(db: sqlite3.Connection, to: Path) -> None:
    with closing(sqlite3.connect(to)) as copy:
        db.backup(copy)


async def say_to(pilot: Pilot[Any], screen: ChatScreen, text: str) -> None:
    """Type a message, send it, and wait for its reply."""
    before = len(screen.nodes)
    screen.prompt.text = text
    await pilot.press("enter")
    await until(pilot, lambda: screen.live is None and len(screen.nodes) > before, "the reply")


def shown(screen: ChatScreen) -> str:
    """Everything that the transcript holds, as text."""
    return screen.transcript.sheet.copy((0, 0), (len(screen.transcript.sheet.rows), 1 << 20))


def toasts(app: RwkvChatApp) -> list[str]:
    """What was notified so far."""
    return [each.message for each in app._notifications]
