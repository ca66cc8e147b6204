"""Turns on a fake engine: order of commits, events, growth, stopping, another reply."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.prefix import extend
from engine.types import Prefilled, SamplingParams
from rwkv_chat.library import nodes, threads
from rwkv_chat.library.errors import ThreadMissing
from rwkv_chat.session import (
    Answered,
    Committed,
    EmptyMessage,
    NothingToRegenerate,
    Session,
    ThreadBusy,
)
from tests.chat.talk import LONG, all_of, answered, begin, failed, said, shown, stored, until, until_shown
from tests.fakes import ByteTokenizer, FakeEngine, FakeGenerate

if TYPE_CHECKING:
    from pathlib import Path


# -------------------------------------------------------------------------------- the order


async def test_a_first_message_makes_a_thread_and_gets_its_reply(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" Hello there."])
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi\nyou")
    events = await all_of(turn)
    committed, end = events[0], events[-1]
    assert isinstance(committed, Committed)
    assert isinstance(end, Answered)
    assert committed.thread.id == end.thread.id == turn.thread
    assert committed.thread.title == "Hi"
    conversation = await session.chats.open(end.thread.id)
    assert said(conversation) == ["Hi\nyou", "Hello there."]
    assert shown(events) == "Hello there."
    assert end.node == (await stored(session, end.thread.id))[-1]
    assert conversation.thread.tip == conversation.nodes[-1].id
    assert conversation.thread.model == "f" * 64


async def test_the_chain_is_fed_turn_by_turn_and_stored_as_fed(opened: list, tmp_path: Path) -> None:
    engine, encode = FakeEngine([" One.", " Two."]), ByteTokenizer().encode
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await answered(session.chats.send(thread, "b"))
    first, second = engine.requests
    assert first.prompt == (0, *encode("User: a\n\nAssistant:"))
    assert first.history == ()
    assert second.history == (*first.prompt, *encode(" One."))
    assert second.prompt == encode("\n\nUser: b\n\nAssistant:")
    assert second.start == extend(second.history)
    path = await stored(session, thread)
    fed = tuple(token for each in path for token in each.tokens or ())
    assert fed == (*second.history, *second.prompt, *encode(" Two."))
    assert path[-1].prefix == extend(fed)


async def test_everything_is_on_the_disk_before_it_is_fed(opened: list, tmp_path: Path) -> None:
    """At the moment of submitting, the message and its exact tokens are committed."""
    engine = FakeEngine()
    session = await begin(opened, tmp_path, engine)
    submit, found = engine.submit, []

    def look(request):
        with_tokens = nodes.path(_second_connection(session), _tip(session), "world/classic")
        found.append([(each.node.message.text, each.node.tokens) for each in with_tokens])
        return submit(request)

    engine.submit = look
    await answered(session.chats.send(None, "Hi"))
    assert found == [[("Hi", engine.requests[0].prompt)]]


def _second_connection(session: Session):
    from rwkv_chat.library.database import connect

    return connect(session.paths.database)


def _tip(session: Session) -> str | None:
    return threads.alive(_second_connection(session))[0].tip


async def test_a_reply_is_written_while_it_grows_at_most_once_a_second(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwkv_chat.session.writing.GROWTH_SECONDS", 0.05)
    writes: list[str] = []
    save = nodes.save_reply
    monkeypatch.setattr(nodes, "save_reply", lambda db, t, r: (writes.append(r.text), save(db, t, r))[1])
    session = await begin(opened, tmp_path, FakeEngine([LONG], delay=0.003))
    turn = session.chats.send(None, "Hi")
    started = asyncio.get_running_loop().time()
    events = await all_of(turn)
    seconds = asyncio.get_running_loop().time() - started
    assert 3 <= len(writes) <= seconds / 0.05 + 2
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(writes))
    assert writes[-1] == shown(events) == LONG.lstrip()


async def test_what_was_shown_and_nothing_new_for_a_while_is_written_too(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that stalls: the last piece must not wait for the next one to be saved."""
    pauses, pause = iter((0.0, 600.0)), FakeGenerate.pause

    async def stalls(job: FakeGenerate) -> bool:
        job.delay = next(pauses)
        return await pause(job)

    monkeypatch.setattr(FakeGenerate, "pause", stalls)
    session = await begin(opened, tmp_path, FakeEngine([" abcdefgh"], chunk=4))
    turn = session.chats.send(None, "Hi")
    await until_shown(turn)

    async def written() -> bool:
        return len((await session.chats.open(turn.thread)).nodes) == 2

    await until(written)
    node = (await session.chats.open(turn.thread)).nodes[-1]
    assert (node.message.text, node.status) == ("abc", "growing")


# -------------------------------------------------------------------------------- stopping, again


async def test_stop_keeps_the_partial_reply(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([LONG, " Next."], delay=0.002)
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    await until_shown(turn, 20)
    turn.stop()
    end = await answered(turn)
    assert end.reason == "cancelled"
    assert end.node is not None
    assert end.node.status == "stopped"
    assert LONG.lstrip().startswith(end.node.message.text)
    await answered(session.chats.send(turn.thread, "go on"))
    assert engine.requests[1].history[-5:] == ByteTokenizer().encode(" " + end.node.message.text)[-5:]


async def test_stopped_before_its_first_letter_the_message_waits(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([" Hello."], delay=0.05))
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if isinstance(event, Prefilled):
            turn.stop()
    end = await answered(turn)
    assert (end.node, end.reason) == (None, "cancelled")
    assert said(await session.chats.open(turn.thread)) == ["Hi"]
    again = await session.chats.answer_pending(turn.thread)
    assert again is not None
    assert (await answered(again)).node is not None
    assert await session.chats.answer_pending(turn.thread) is None


async def test_regenerate_makes_a_sibling_with_a_new_seed(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two."])
    session = await begin(opened, tmp_path, engine)
    await session.set_sampling(replace(session.sampling, seed=7))
    first = await answered(session.chats.send(None, "Hi"))
    second = await answered(session.chats.regenerate(first.thread.id))
    assert first.node is not None
    assert second.node is not None
    assert first.node.parent == second.node.parent
    assert first.node.seed == 7 != second.node.seed
    assert said(await session.chats.open(first.thread.id)) == ["Hi", "Two."]
    again = engine.requests[1]
    assert (again.prompt, again.history) == ((), engine.requests[0].prompt)
    both = await session.library.run(nodes.siblings, second.node.id)
    assert [each.message.text for each in both] == ["One.", "Two."]
    third = await answered(session.chats.regenerate(first.thread.id, SamplingParams(seed=99)))
    assert third.node is not None
    assert third.node.seed == 99


async def test_nothing_to_regenerate(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    thread = await session.chats.create("empty")
    assert isinstance(await failed(session.chats.regenerate(thread.id)), NothingToRegenerate)
    assert isinstance(await failed(session.chats.regenerate("nobody")), ThreadMissing)
    assert isinstance(await failed(session.chats.send("nobody", "Hi")), ThreadMissing)


async def test_one_reply_at_a_time_in_a_conversation(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([LONG], delay=0.002))
    turn = session.chats.send(None, "Hi")
    await until_shown(turn)
    with pytest.raises(ThreadBusy):
        session.chats.send(turn.thread, "and?")
    with pytest.raises(ThreadBusy):
        session.chats.regenerate(turn.thread)
    other = session.chats.send(None, "elsewhere")
    turn.stop()
    other.stop()
    await answered(turn)
    assert session.chats.turn(turn.thread) is None
    assert said(await session.chats.open(turn.thread))[:1] == ["Hi"]


@pytest.mark.parametrize("text", ["", " \n\t "])
async def test_an_empty_message_is_refused(opened: list, tmp_path: Path, text: str) -> None:
    session = await begin(opened, tmp_path)
    with pytest.raises(EmptyMessage):
        session.chats.send(None, text)
    assert await session.chats.threads() == ()


async def test_thinking_is_kept_apart(opened: list, tmp_path: Path) -> None:
    raw = "<think>hm\n</think>\n Yes."
    engine = FakeEngine([raw, " Ok."], chunk=3)
    session = await begin(opened, tmp_path, engine)
    events = await all_of(session.chats.send(None, "Hi"))
    end = events[-1]
    assert isinstance(end, Answered)
    assert end.node is not None
    assert (end.node.message.reasoning, end.node.message.text) == ("hm\n", "Yes.")
    assert (shown(events, "reasoning"), shown(events)) == ("hm\n", "Yes.")
    await answered(session.chats.send(end.thread.id, "go on"))
    assert engine.requests[1].history[-6:] == ByteTokenizer().encode(": Yes.")
