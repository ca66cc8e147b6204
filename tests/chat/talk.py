"""What the session tests share: sending, and looking at what came of it."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from rwkv_chat.library import nodes, threads
from rwkv_chat.session import (
    Answered,
    ReplyGrew,
    Session,
    Turn,
    TurnEvent,
    TurnFailed,
)
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.types import FeedRequest, GenerateRequest, TokenIds
    from rwkv_chat.transcript import Conversation

PATIENCE = 60.0  # seconds: other work may hold the machine
LONG = " " + "word " * 400


async def begin(opened: list[Session], home: Path, engine: FakeEngine | None = None) -> Session:
    session = await fake_session(home, engine)
    opened.append(session)
    return session


async def all_of(turn: Turn) -> list[TurnEvent]:
    return [event async for event in turn]


def shown(events: list[TurnEvent], part: str = "answer") -> str:
    return "".join(each.text for each in events if isinstance(each, ReplyGrew) and each.part == part)


async def answered(turn: Turn) -> Answered:
    end = await turn.result()
    assert isinstance(end, Answered), end
    return end


async def failed(turn: Turn) -> Exception:
    end = await turn.result()
    assert isinstance(end, TurnFailed), end
    return end.error


def fed(request: GenerateRequest | FeedRequest) -> TokenIds:
    """All tokens that stand before what a request asks for."""
    return (*request.history, *request.prompt)


def said(conversation: Conversation) -> list[str]:
    return [each.message.text for each in conversation.nodes]


async def until_shown(turn: Turn, letters: int = 1) -> None:
    total = 0
    async for event in turn:
        if isinstance(event, ReplyGrew):
            total += len(event.text)
            if total >= letters:
                return


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for a condition, however busy the machine is."""
    deadline = monotonic() + PATIENCE
    while not await condition():
        assert monotonic() < deadline, "never came true"
        await asyncio.sleep(0.01)


async def stored(session: Session, thread: str) -> list:
    tip = (await session.library.run(threads.get, thread)).tip
    coding = "world/classic"
    return [each.node for each in await session.library.run(nodes.path, tip, coding)]
