"""Failures in the middle of a turn, and quitting: what was shown is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import ModelNotLoaded, OutOfMemory, WorkerDied
from engine.prefix import extend
from rwkv_chat.library import nodes
from rwkv_chat.library.errors import LibraryFull
from rwkv_chat.session.writing import ReplyWriter
from tests.chat.talk import LONG, all_of, answered, begin, failed, said, shown, until_shown
from tests.fakes import ByteTokenizer, FakeEngine, FakeGenerate, FakeReply, fake_session

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from engine.types import Piece


async def test_a_failure_in_the_middle_keeps_what_was_shown(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" Half a", error=OutOfMemory(10, 5)), " Next."])
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    assert isinstance(await failed(turn), OutOfMemory)
    node = (await session.chats.open(turn.thread)).nodes[-1]
    assert (node.message.text, node.status) == ("Half a", "failed")
    await answered(session.chats.send(turn.thread, "go on"))
    assert engine.requests[1].history[-7:] == ByteTokenizer().encode(" Half a")


async def test_a_dead_worker_is_replaced_at_the_next_message(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" Half", error=WorkerDied(-9)), " Whole."])
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    assert isinstance(await failed(turn), WorkerDied)
    assert session.models.info is None
    await answered(session.chats.regenerate(turn.thread))
    assert len(engine.loads) == 2
    assert said(await session.chats.open(turn.thread)) == ["Hi", "Whole."]


async def test_a_failed_regenerate_leaves_the_old_reply(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", FakeReply("", error=OutOfMemory(10, 5))])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "Hi"))).thread.id
    assert isinstance(await failed(session.chats.regenerate(thread)), OutOfMemory)
    assert said(await session.chats.open(thread)) == ["Hi", "One."]


async def test_closing_in_the_middle_commits_the_partial_reply(tmp_path: Path) -> None:
    engine = FakeEngine([LONG], delay=0.002)
    session = await fake_session(tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    await until_shown(turn, 40)
    await session.close()
    await session.close()
    again = await fake_session(tmp_path)
    node = (await again.chats.open(turn.thread)).nodes[-1]
    assert node.status == "stopped"
    assert len(node.message.text) >= 40
    assert engine.closed
    await again.close()


def test_a_loop_that_ends_by_force_commits_the_partial_reply(tmp_path: Path) -> None:
    """asyncio.run cancels what still runs: the reply is cut, not lost, and the chain still fits the text."""

    async def abandon() -> str:
        session = await fake_session(tmp_path, FakeEngine([LONG], delay=0.002))
        turn = session.chats.send(None, "Hi")
        await until_shown(turn, 40)
        return turn.thread

    async def look(thread: str) -> None:
        engine = FakeEngine()
        session = await fake_session(tmp_path, engine)
        node = (await session.chats.open(thread)).nodes[-1]
        assert node.status == "stopped"
        assert len(node.message.text) >= 40
        await answered(session.chats.send(thread, "go on"))
        assert bytes(each - 1 for each in engine.requests[0].history[1:]).decode().endswith(node.message.text)
        await session.close()

    asyncio.run(look(asyncio.run(abandon())))


async def test_a_reply_cut_by_a_crash_is_gone_on_from_as_it_was_shown(opened: list, tmp_path: Path) -> None:
    """Text that was saved before its last token was whole is encoded again: chain and transcript agree."""
    session = await begin(opened, tmp_path, engine := FakeEngine())
    thread, asked = await session.library.run(nodes.append_user, "t", "Hi", "Hi", create=True)
    encode = ByteTokenizer().encode
    cut = nodes.Reply(
        id="r",
        parent=asked.id,
        text="Half a w",
        reasoning="",
        status="growing",
        coding="world/classic",
        tokens=encode(" Half a"),
        tail=" w",
    )
    await session.library.run(nodes.save_reply, thread.id, cut)
    assert said(await session.chats.open("t")) == ["Hi", "Half a w"]
    await answered(session.chats.send("t", "go on"))
    assert engine.requests[0].history == (0, *encode("User: Hi\n\nAssistant: Half a w"))
    assert engine.requests[0].start == extend(engine.requests[0].history)


async def test_a_key_that_does_not_fit_its_tokens_is_never_trusted(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, engine := FakeEngine())
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await session.library.run(lambda db: db.execute("UPDATE node_tokens SET prefix = ?", ("0" * 64,)))
    await answered(session.chats.send(thread, "b"))
    assert engine.requests[1].start == extend(engine.requests[1].history)


async def test_a_disk_that_fills_while_a_reply_grows(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply goes on being shown; that it could not be kept is said once, at its end."""
    session = await begin(opened, tmp_path, FakeEngine([" Hello there."]))

    def full(*_: object) -> None:
        raise LibraryFull("library.sqlite")

    monkeypatch.setattr(nodes, "save_reply", full)
    turn = session.chats.send(None, "Hi")
    events = await all_of(turn)
    assert shown(events) == "Hello there."
    assert isinstance(await failed(turn), LibraryFull)
    monkeypatch.undo()
    assert said(await session.chats.open(turn.thread)) == ["Hi"]


async def test_a_bug_of_ours_ends_the_turn_and_no_more(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begin(opened, tmp_path)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rwkv_chat.session.chain.code", broken)
    error = await failed(session.chats.send(None, "Hi"))
    assert getattr(error, "kind", None) == "ZeroDivisionError"


async def test_a_bug_of_ours_in_the_middle_keeps_what_was_shown_and_stops_the_engine(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine([" Hello there."])
    session = await begin(opened, tmp_path, engine)
    real = ReplyWriter.add
    cancelled: list[object] = []

    def breaks(writer: ReplyWriter, piece: Piece) -> object:
        if writer.tokens:
            raise ZeroDivisionError
        return real(writer, piece)

    monkeypatch.setattr(ReplyWriter, "add", breaks)
    monkeypatch.setattr(FakeGenerate, "cancel", lambda job: cancelled.append(job))
    turn = session.chats.send(None, "Hi")
    error = await failed(turn)
    assert getattr(error, "kind", None) == "ZeroDivisionError"
    assert len(cancelled) == 1
    *_, reply = (await session.chats.open(turn.thread)).nodes
    assert reply.status == "failed"
    assert "Hello there.".startswith(reply.message.text)
    assert reply.message.text


async def test_ids_that_no_model_has_are_damage_and_encoded_again(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, engine := FakeEngine())
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await session.library.run(lambda db: db.execute("UPDATE node_tokens SET tokens = x'ffffffff'"))
    await answered(session.chats.send(thread, "b"))
    assert engine.requests[1].history == (0, *ByteTokenizer().encode("User: a\n\nAssistant: Hello there."))


async def test_a_model_lost_while_nothing_was_asked_is_loaded_again(opened: list, tmp_path: Path) -> None:
    """The engine's process died between two messages: nobody needs to know, the next message is answered."""
    gone = FakeReply("", error=ModelNotLoaded())
    engine = FakeEngine([" One.", gone, " Two."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await answered(session.chats.send(thread, "b"))
    assert said(await session.chats.open(thread)) == ["a", "One.", "b", "Two."]
    assert len(engine.loads) == 2


async def test_a_model_that_is_lost_again_and_again_is_told(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([FakeReply("", error=ModelNotLoaded())]))
    assert isinstance(await failed(session.chats.send(None, "a")), ModelNotLoaded)
