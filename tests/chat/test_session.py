"""The session on a fake engine: order of commits, events, stops, failures, slow loads, quitting."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelNotFound, OutOfMemory
from engine.prefix import extend
from engine.types import Prefilled, SamplingParams
from rwkv_chat.library import nodes, threads
from rwkv_chat.library.errors import LibraryFull, ThreadMissing
from rwkv_chat.session import (
    Answered,
    Committed,
    EmptyMessage,
    NothingToRegenerate,
    ReplyGrew,
    Session,
    ThreadBusy,
    Turn,
    TurnEvent,
    TurnFailed,
    WaitingForModel,
)
from tests.fakes import ByteTokenizer, FakeEngine, FakeReply, fake_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rwkv_chat.transcript import Conversation

LONG = " " + "word " * 400


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[list[Session]]:
    sessions: list[Session] = []
    yield sessions
    for each in sessions:
        await each.close()


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


def said(conversation: Conversation) -> list[str]:
    return [each.message.text for each in conversation.nodes]


async def until_shown(turn: Turn, letters: int = 1) -> None:
    total = 0
    async for event in turn:
        if isinstance(event, ReplyGrew):
            total += len(event.text)
            if total >= letters:
                return


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
    assert end.node == conversation.nodes[-1]
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


async def stored(session: Session, thread: str) -> list:
    tip = (await session.library.run(threads.get, thread)).tip
    coding = "world/classic"
    return [each.node for each in await session.library.run(nodes.path, tip, coding)]


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
    opened: list, tmp_path: Path
) -> None:
    """A slow model: the last piece must not wait for the next one to be saved."""
    session = await begin(opened, tmp_path, FakeEngine([" abcdefgh"], delay=0.4, chunk=4))
    turn = session.chats.send(None, "Hi")
    await until_shown(turn)
    await asyncio.sleep(0.1)
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
    assert engine.requests[1].history[-len(raw) :] == ByteTokenizer().encode(raw)


# -------------------------------------------------------------------------------- the model


async def test_a_message_typed_while_the_model_loads_is_kept_and_answered(
    opened: list, tmp_path: Path
) -> None:
    session = await begin(opened, tmp_path, FakeEngine(load_delay=0.05))
    session.models.start()
    turn = session.chats.send(None, "Hi")
    events, on_disk = [], None
    async for event in turn:
        events.append(type(event))
        if isinstance(event, WaitingForModel):
            on_disk = said(await session.chats.open(turn.thread))
    assert on_disk == ["Hi"]
    assert events[:2] == [Committed, WaitingForModel]
    assert events[-1] is Answered


async def test_a_model_that_will_not_load_leaves_the_message(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(load_error=ModelNotFound("x.pth"))
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    assert isinstance(await failed(turn), ModelNotFound)
    assert said(await session.chats.open(turn.thread)) == ["Hi"]
    with pytest.raises(ModelNotFound):
        await session.models.ready()
    engine.load_error = None
    again = await session.chats.answer_pending(turn.thread)
    assert again is not None
    assert (await answered(again)).node is not None


async def test_stop_while_the_model_loads(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(load_delay=5))
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if isinstance(event, WaitingForModel):
            turn.stop()
    assert (await answered(turn)).node is None


async def test_quitting_while_the_model_loads_keeps_the_message(tmp_path: Path) -> None:
    session = await fake_session(tmp_path, FakeEngine(load_delay=5))
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if isinstance(event, WaitingForModel):
            break
    await session.close()
    again = await fake_session(tmp_path)
    assert said(await again.chats.open(turn.thread)) == ["Hi"]
    pending = await again.chats.answer_pending(turn.thread)
    assert pending is not None
    await answered(pending)
    await again.close()


async def test_watchers_see_the_load(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(load_delay=0.01))
    seen: list[str] = []

    async def watch() -> None:
        async for event in session.models.watch():
            seen.append(type(event).__name__)
            if seen[-1] == "Loaded":
                return

    watcher = asyncio.ensure_future(watch())
    info = await session.models.ready()
    await watcher
    assert seen == ["Progress", "Progress", "Progress", "Loaded"]
    assert session.models.info == info
    async for event in session.models.watch():
        assert type(event).__name__ == "Loaded"
        break


async def test_changing_the_model_reads_the_conversation_anew_and_keeps_the_old_tokens(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine([" One.\n\nMore.", " Two."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    before = await stored(session, thread)
    other = tmp_path / "other.pth"
    vocabulary = tmp_path / "tokenizer.json"
    vocabulary.write_text("{}")
    monkeypatch.setattr("rwkv_chat.session.models._read_spec", lambda path: None)
    card = await session.models.use(other)
    assert card.tokenizer.path == str(vocabulary)
    assert session.settings.model == str(other)
    await answered(session.chats.send(thread, "b"))
    encode, request = ByteTokenizer().encode, engine.requests[1]
    assert request.history == (0, *encode("User: a\n\nAssistant: One.\nMore."))
    assert await stored(session, thread) != []
    kept = {each.id: each.tokens for each in await stored(session, thread)}
    assert all(kept[each.id] == each.tokens for each in before)


async def test_a_model_changed_while_a_message_waits_answers_it(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(load_delay=0.1)
    session = await begin(opened, tmp_path, engine)
    monkeypatch.setattr("rwkv_chat.session.models._read_spec", lambda path: None)
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if isinstance(event, WaitingForModel):
            engine.load_delay = 0.0
            await session.models.use(tmp_path / "other.pth")
    await answered(turn)
    assert [Path(each.path).name for each in engine.loads] == ["fake.safetensors", "other.pth"]
    assert len(engine.requests) == 1


# -------------------------------------------------------------------------------- failures, quitting


async def test_a_failure_in_the_middle_keeps_what_was_shown(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" Half a", error=OutOfMemory(10, 5)), " Next."])
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    assert isinstance(await failed(turn), OutOfMemory)
    node = (await session.chats.open(turn.thread)).nodes[-1]
    assert (node.message.text, node.status) == ("Half a", "failed")
    await answered(session.chats.send(turn.thread, "go on"))
    assert engine.requests[1].history[-7:] == ByteTokenizer().encode(" Half a")


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


# -------------------------------------------------------------------------------- keeping


async def test_newest_first_rename_delete_restore(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    old = (await answered(session.chats.send(None, "old"))).thread
    new = (await answered(session.chats.send(None, "new"))).thread
    assert [each.title for each in await session.chats.threads()] == ["new", "old"]
    await answered(session.chats.send(old.id, "again"))
    assert [each.title for each in await session.chats.threads()] == ["old", "new"]
    assert (await session.chats.rename(new.id, "  better\x07 ")).title == "better"
    assert (await session.chats.delete(old.id)).deleted is not None
    assert [each.title for each in await session.chats.threads()] == ["better"]
    assert [each.title for each in await session.chats.deleted()] == ["old"]
    await session.chats.restore(old.id)
    assert said(await session.chats.open(old.id)) == ["old", "Hello there.", "again", "Hello there."]


async def test_deleting_a_conversation_that_is_being_answered_stops_it(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([LONG], delay=0.002))
    turn = session.chats.send(None, "Hi")
    await until_shown(turn, 10)
    await session.chats.delete(turn.thread)
    assert turn.done
    await session.chats.restore(turn.thread)
    assert (await session.chats.open(turn.thread)).nodes[-1].status == "stopped"


async def test_two_sessions_on_one_library(opened: list, tmp_path: Path) -> None:
    """A conversation that is open twice: the last writer moves the tip, and nothing is lost."""
    one = await begin(opened, tmp_path, FakeEngine([" from one"], delay=0.01))
    two = await begin(opened, tmp_path, FakeEngine([" from two"], delay=0.01))
    thread = (await answered(one.chats.send(None, "first"))).thread.id
    await asyncio.gather(answered(one.chats.send(thread, "a")), answered(two.chats.send(thread, "b")))
    kept = await one.library.run(lambda db: sorted(row[0] for row in db.execute("SELECT text FROM nodes")))
    assert kept == sorted(["first", "from one", "a", "from one", "b", "from two"])


async def test_the_seed_of_a_turn_is_drawn_here_and_kept(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, engine := FakeEngine())
    ends = [await answered(session.chats.send(None, "Hi")) for _ in range(2)]
    seeds = [each.node.seed for each in ends if each.node]
    assert seeds == [each.params.seed for each in engine.requests]
    assert len(set(seeds)) == 2


async def test_sampling_is_remembered_as_a_difference(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    changed = await session.set_sampling(replace(session.sampling, temperature=0.3))
    assert changed.temperature == 0.3
    assert session.settings.sampling == {"temperature": 0.3}
    await session.set_sampling(session.models.current.sampling)
    assert session.settings.sampling == {}
