"""The session on a fake engine: order of commits, events, stops, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.session import Answered, Committed, ReplyGrew
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_first_message_makes_a_thread_and_gets_its_reply(tmp_path: Path) -> None:
    engine = FakeEngine([" Hello there."])
    session = await fake_session(tmp_path, engine)
    events = [event async for event in session.chats.send(None, "Hi\nyou")]
    committed, end = events[0], events[-1]
    assert isinstance(committed, Committed)
    assert isinstance(end, Answered)
    assert committed.thread.title == "Hi"
    shown = "".join(each.text for each in events if isinstance(each, ReplyGrew))
    conversation = await session.chats.open(end.thread.id)
    assert [each.message.text for each in conversation.nodes] == ["Hi\nyou", "Hello there."]
    assert shown == "Hello there."
    assert conversation.thread.tip == end.node.id if end.node else False
    assert engine.requests[0].prompt[0] == 0
    await session.close()
    assert engine.closed
