"""A model speaks before its id is known; what was said meanwhile gets the id later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import threads
from tests.chat.talk import answered, begin, until
from tests.fakes import ID, FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session


async def models_of(session: Session, thread: str) -> tuple[str, str]:
    """What the last reply and the conversation name as their model."""
    conversation = await session.chats.open(thread)
    return conversation.nodes[-1].model, (await session.library.run(threads.get, thread)).model


async def test_what_was_said_before_the_id_was_known_gets_it(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(identified=False, identify_delay=60.0)
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "Hi"))).thread.id
    speaker = session.models.speaker
    assert speaker is not None
    assert (speaker.info.id, await models_of(session, thread)) == ("", (speaker.mark, speaker.mark))
    engine.identifying[0].go_on.set()

    async def named() -> bool:
        return await models_of(session, thread) == (ID, ID)

    await until(named)
    assert session.models.speaker is speaker  # a reply under way goes on with it
    assert speaker.info.id == ID


async def test_a_reply_that_is_growing_while_the_id_comes_ends_with_it(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(identified=False, identify_delay=60.0, delay=0.02)
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if type(event).__name__ == "ReplyGrew":
            engine.identifying[0].go_on.set()
    assert await models_of(session, turn.thread) == (ID, ID)


async def test_after_a_crash_the_next_start_names_what_was_said(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(identified=False, identify_delay=60.0))
    thread = (await answered(session.chats.send(None, "Hi"))).thread.id
    await session.close()
    again = await begin(opened, tmp_path, FakeEngine())
    await again.models.ready()

    async def named() -> bool:
        return await models_of(again, thread) == (ID, ID)

    await until(named)


async def test_closing_does_not_wait_for_the_hash(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(identified=False, identify_delay=600.0))
    await session.models.ready()
    await session.close()
