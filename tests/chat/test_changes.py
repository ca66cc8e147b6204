"""Messages that are changed, and memory that begins anew: what is fed, on a fake engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library import nodes, threads
from rwkv_chat.session import (
    Committed,
    EmptyMessage,
    HasRead,
    Reading,
    Session,
    Turn,
    TurnFailed,
)
from rwkv_chat.session.errors import NothingToRefresh, NothingToUndo
from tests.chat.talk import answered, begin, said, stored
from tests.fakes import ByteTokenizer, FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

encode = ByteTokenizer().encode
ASKED = (0, *encode("User: a\n\nAssistant:"))


# ------------------------------------------------------------------------------------------------ editing


async def test_who_is_edited_decides_what_follows(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two.", " Deux."])
    session: Session = await begin(opened, tmp_path, engine)
    end = await answered(session.chats.send(None, "a", system="Be kind"))
    thread = end.thread.id
    await answered(session.chats.send(thread, "b"))
    system, _, reply, last, _ = (await session.chats.open(thread)).nodes
    turn = await session.branches.edit(thread, last.id, "deux")
    assert isinstance(turn, Turn)
    await answered(turn)
    for node, text in ((system, "Be rude"), (reply, "Un.")):
        reading = await session.branches.edit(thread, node.id, text)
        assert isinstance(reading, Reading)
        events = [each async for each in reading]
        assert isinstance(events[0], Committed)
        assert (events[0].node.message.text, events[0].node.origin) == (text, node.id)
        assert isinstance(events[-1], HasRead)
        assert said(await session.chats.open(thread))[-1] == text
    with pytest.raises(EmptyMessage):
        await session.branches.edit(thread, last.id, " \n")


async def test_an_edit_that_keeps_what_follows_may_be_stopped(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two."], feed_delay=5.0)
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await answered(session.chats.send(thread, "b"))
    first = (await session.chats.open(thread)).nodes[0]
    reading = await session.branches.edit(thread, first.id, "A", keep_following=True)
    async for event in reading:
        if isinstance(event, Committed):
            reading.stop()
    assert said(await session.chats.open(thread)) == ["A", "One.", "b", "Two."]
    end = await answered(session.chats.send(thread, "c"))
    assert end.node is not None
    assert bytes(each - 1 for each in engine.requests[-1].history[1:]).startswith(
        b"User: A\n\nAssistant: One."
    )


async def test_nothing_to_undo_or_to_refresh(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path)
    empty = (await session.chats.create()).id
    with pytest.raises(NothingToUndo):
        await session.branches.undo(empty)
    end = await session.branches.refresh(empty).result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, NothingToRefresh)
    turn = session.chats.send(None, "a")
    await answered(turn)
    await session.branches.undo(turn.thread)
    with pytest.raises(NothingToUndo):
        await session.branches.undo(turn.thread)


# ------------------------------------------------------------------------------------------------ memory


async def test_memory_begins_with_the_last_messages(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two.", " Three.", " Four."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    for text in ("b", "c"):
        await answered(session.chats.send(thread, text))
    lengths = [len(each.tokens or ()) for each in await stored(session, thread)]
    read = await (await session.branches.remember_last(thread, sum(lengths[2:]))).result()
    assert isinstance(read, HasRead)
    gauge = await session.branches.absorbed(thread)
    assert (gauge.partial, gauge.forgotten) == (True, 6)
    await answered(session.chats.send(thread, "d"))
    fed = bytes(each - 1 for each in engine.requests[-1].history[1:])
    assert fed == b"User: b\n\nAssistant: Two.\n\nUser: c\n\nAssistant: Three."
    shown = await session.chats.open(thread)
    assert said(shown)[:6] == ["a", "One.", "b", "Two.", "c", "Three."]
    assert [each.fresh for each in shown.nodes].index(True) == 6
    ahead = await session.chats.exact_prompt(thread)
    assert ahead.tokens[1:] == encode(fed.decode()) + encode("\n\nUser: d\n\nAssistant: Four.")


async def test_an_imported_conversation_is_shown_and_read_behind(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One."], feed_delay=0.01)
    session: Session = await begin(opened, tmp_path, engine)

    def bring_in(db: object) -> str:
        _, node = nodes.append_user(db, "t", "a", "a", create=True)  # pyright: ignore[reportArgumentType]
        node = nodes.put(db, "t", node.id, "assistant", "Ah.")  # pyright: ignore[reportArgumentType]
        threads.move_tip(db, "t", node)  # pyright: ignore[reportArgumentType]
        return node

    await session.library.run(bring_in)
    assert said(await session.chats.open("t")) == ["a", "Ah."]
    ahead = await session.chats.to_read("t")
    reading = session.chats.read("t")
    typed = await answered(session.chats.send("t", "b"))  # one may type meanwhile
    assert isinstance(await reading.result(), HasRead)
    assert typed.node is not None
    assert len(engine.requests[0].history) == ahead.tokens
