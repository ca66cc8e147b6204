"""What was fed and would be fed; reading for another model on a fake engine; system messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.errors import WorkerDied
from engine.prefix import extend
from engine.types import FeedRequest, Prefilled, Usage
from rwkv_chat.library import nodes, speeds
from rwkv_chat.library.errors import ThreadMissing
from rwkv_chat.session import HasRead, ThreadBusy, TurnFailed
from tests.chat.talk import LONG, answered, begin, said, stored, until_shown
from tests.fakes import ByteTokenizer, FakeEngine, FakeFeed

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

encode = ByteTokenizer().encode
ONE = (0, *encode("User: a\n\nAssistant: One."))


# -------------------------------------------------------------------------------- the exact prompt


async def test_the_exact_prompt_is_what_is_fed(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", ">x</think> Two."])
    session = await begin(opened, tmp_path, engine)
    new = await session.chats.exact_prompt(None, "a", "Be kind")
    assert ByteTokenizer().decode_bytes(new.tokens).decode() == "System: Be kind\n\nUser: a\n\nAssistant:"
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    known = await session.chats.exact_prompt(thread)
    assert (known.tokens, known.new_from) == (ONE, len(ONE))
    assert b"".join(known.pieces).decode() == "User: a\n\nAssistant: One."
    assert known.pieces[0] == b""
    await session.chats.configure(thread, template="classic", mode="lot")
    ahead = await session.chats.exact_prompt(thread, "b\r\nc")
    assert (ahead.template, ahead.mode, ahead.new_from) == ("classic", "lot", len(ONE))
    await answered(session.chats.send(thread, "b\r\nc"))
    fed = engine.requests[-1]
    assert ahead.tokens == (*fed.history, *fed.prompt)
    assert said(await session.chats.open(thread)) == ["a", "One.", "b\nc", "Two."]


async def test_of_a_waiting_message_the_way_to_think_is_shown_too(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([LONG], delay=0.01))
    thread = await session.chats.create()
    await session.chats.configure(thread.id, mode="free")
    turn = session.chats.send(thread.id, "a")
    await until_shown(turn)
    turn.stop()
    await answered(turn)
    await session.chats.delete(thread.id)
    waiting = await session.library.run(nodes.append_user, thread.id, "b", "")
    prompt = await session.chats.exact_prompt(waiting[0].id)
    assert b"".join(prompt.pieces).endswith(b"User: b\n\nAssistant: <think")
    assert await session.chats.exact_prompt(None) is not None
    with pytest.raises(ThreadMissing):
        await session.chats.exact_prompt("nobody", "x")


async def test_an_empty_conversation_has_an_empty_prompt(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    prompt = await session.chats.exact_prompt((await session.chats.create()).id)
    assert (prompt.tokens, prompt.pieces, prompt.new_from) == ((), (), 0)


# -------------------------------------------------------------------------------- system messages


async def test_a_system_message_stands_first_and_once(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a", system=" Be\r\nkind \n"))).thread
    await answered(session.chats.send(thread.id, "b", system="Be rude"))
    opened_again = await session.chats.open(thread.id)
    assert [each.message.role for each in opened_again.nodes] == [
        *("system", "user", "assistant", "user", "assistant"),
    ]
    assert engine.requests[0].history == (0, *encode("System: Be\nkind"))
    assert engine.requests[0].prompt == encode("\n\nUser: a\n\nAssistant:")
    assert thread.title == "a"
    again = await answered(session.chats.regenerate(thread.id))
    assert again.node is not None
    none = await answered(session.chats.send(None, "c", system="  \n"))
    assert said(await session.chats.open(none.thread.id))[0] == "c"


# -------------------------------------------------------------------------------- another model


async def test_what_is_to_be_read_is_counted_from_the_last_state(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await answered(session.chats.send(thread, "b"))
    path = await stored(session, thread)
    whole = sum(len(each.tokens or ()) for each in path)
    ahead = await session.chats.to_read(thread)
    fed = [len((*each.history, *each.prompt)) - len(each.history) for each in engine.requests]
    assert ahead.tokens == whole
    assert ahead.seconds == pytest.approx(whole / (sum(fed) / 0.02))
    engine.states.add(path[1].prefix or "")
    assert (await session.chats.to_read(thread)).tokens == sum(len(each.tokens or ()) for each in path[2:])
    engine.states.add(path[3].prefix or "")
    assert await session.chats.to_read(thread) == type(ahead)(0, 0.0)


async def test_a_model_that_has_read_nothing_gives_no_time(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    thread = (await session.library.run(nodes.append_user, "t", "a", "", create=True))[0]
    assert (await session.chats.to_read(thread.id)).seconds is None


async def test_reading_tells_its_progress(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    events = [event async for event in session.chats.read(thread)]
    assert engine.feeds == [FeedRequest(ONE)]
    assert engine.feeds[0].background
    assert [each.done for each in events if isinstance(each, Prefilled)][-1] == len(ONE)
    assert events[-1] == HasRead(thread, Usage(prompt_tokens=len(ONE), prefill_seconds=0.01))
    assert session.chats.reading(thread) is None


async def test_reading_nothing_nobody_and_while_it_is_answered(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([LONG], delay=0.002)
    session = await begin(opened, tmp_path, engine)
    empty = await session.chats.create()
    assert await session.chats.read(empty.id).result() == HasRead(empty.id, None)
    end = await session.chats.read("nobody").result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, ThreadMissing)
    turn = session.chats.send(None, "a")
    await until_shown(turn)
    with pytest.raises(ThreadBusy):
        session.chats.read(turn.thread)
    turn.stop()
    await answered(turn)
    assert engine.feeds == []


async def test_a_reading_whose_engine_dies_says_so(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(job: FakeFeed) -> bool:
        raise WorkerDied(9)

    monkeypatch.setattr(FakeFeed, "pause", dies)
    session = await begin(opened, tmp_path)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    end = await session.chats.read(thread).result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, WorkerDied)


async def test_a_second_reading_takes_the_place_of_the_first(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([" One."], feed_delay=0.2))
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    first, second = session.chats.read(thread), session.chats.read(thread)
    assert session.chats.reading(thread) is second
    assert await first.result() == HasRead(thread, None)
    await session.chats.settled(thread)
    assert isinstance(await second.result(), HasRead)


# -------------------------------------------------------------------------------- speed


@pytest.mark.parametrize(
    ("usages", "speed"),
    [
        ([], None),
        ([{"prompt_tokens": 10, "history_tokens": 20, "prefill_seconds": 0.5}], 60.0),
        ([{"prompt_tokens": 10, "history_tokens": 0, "prefill_seconds": 0.0}], None),
        ([None, "damage", {"prompt_tokens": 10, "history_tokens": 0, "prefill_seconds": 1.0}], 10.0),
        ([{"prompt_tokens": "x"}], None),
    ],
)
def test_the_speed_of_reading_is_measured(db: sqlite3.Connection, usages: list, speed: float | None) -> None:
    for number, usage in enumerate(usages):
        text = usage if usage is None or usage == "damage" else json.dumps(usage)
        db.execute(
            "INSERT INTO nodes (id, tree, role, model, usage) VALUES (?, 't', 'assistant', 'm', ?)",
            (str(number), text),
        )
    assert speeds.prefill_speed(db, "m") == speed
    assert speeds.prefill_speed(db, "other") is None


async def test_every_key_of_a_chain_is_derived(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([" One."]))
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    path = await stored(session, thread)
    assert path[-1].prefix == extend(ONE)
