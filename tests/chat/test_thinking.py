"""Think modes on a fake engine: what is asked, what is remembered, what is kept; stops and crashes in
mid-thought."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.errors import WorkerDied
from engine.prefix import extend
from engine.types import FeedRequest, SamplingParams
from rwkv_chat import templates
from rwkv_chat.families import family_for
from rwkv_chat.session import HasRead, Session, TurnEvent
from rwkv_chat.session.chain import as_trained
from tests.chat.talk import LONG, all_of, answered, begin, failed, said, shown, stored, until, until_shown
from tests.fakes import ByteTokenizer, FakeEngine, FakeReply

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.transcript import Node

encode = ByteTokenizer().encode
THOUGHT = ">hm\n</think>\n Yes."
PLAIN = (0, *encode("User: a\n\nAssistant:"))
NEXT = encode("\n\nUser: b\n\nAssistant:")


async def started(session: Session, mode: str, *, keep: bool = False, template: str = "classic") -> str:
    thread = await session.chats.create()
    await session.chats.configure(thread.id, template=template, mode=mode, keep_reasoning=keep)
    return thread.id


async def told(session: Session, engine: FakeEngine, mode: str, keep: bool = False) -> list[Node]:
    """One turn in a mode, then a plain one; the nodes as they are stored."""
    thread = await started(session, mode, keep=keep)
    await answered(session.chats.send(thread, "a"))
    await session.chats.settled(thread)
    await session.chats.configure(thread, mode="none")
    await answered(session.chats.send(thread, "b"))
    return await stored(session, thread)


async def of_family(opened: list, home: Path, engine: FakeEngine) -> Session:
    """A session whose model is of a family that knows to think, but not for how long."""
    session = await begin(opened, home, engine)
    speaker = await session.models.speaking()
    assert speaker.family == family_for("weights.pth")
    return session


MODES = [
    ("none", " Yes.", "User: a\n\nAssistant:"),
    ("fast", ">\nYes.", "User: a\n\nAssistant: <think>\n</think"),
    ("free", THOUGHT, "User: a\n\nAssistant: <think"),
    ("bit", THOUGHT, "User: a (think a bit)\n\nAssistant: <think"),
    ("lot", THOUGHT, "User: a (think a lot)\n\nAssistant: <think"),
]


@pytest.mark.parametrize(("mode", "raw", "asked"), MODES, ids=[each[0] for each in MODES])
async def test_the_way_to_think_is_asked_and_not_remembered(
    opened: list, tmp_path: Path, mode: str, raw: str, asked: str
) -> None:
    engine = FakeEngine([raw, " Ok."], chunk=3)
    session = await begin(opened, tmp_path, engine)
    path = await told(session, engine, mode)
    assert engine.requests[0].prompt == (0, *encode(asked))
    remembered = (*PLAIN, *encode(" Yes."))
    assert engine.requests[1].history == remembered
    assert engine.requests[1].prompt == NEXT
    assert engine.requests[1].start == extend(remembered)
    assert [each.tokens for each in path[:2]] == [PLAIN, encode(" Yes.")]
    thought = "hm\n" if mode not in ("none", "fast") else ""
    assert (path[1].message.reasoning, path[1].message.text) == (thought, "Yes.")
    assert (path[1].mode, path[1].status) == (mode, "complete")


@pytest.mark.parametrize(("mode", "raw", "asked"), MODES, ids=[each[0] for each in MODES])
async def test_what_is_remembered_is_read_from_where_it_parts(
    opened: list, tmp_path: Path, mode: str, raw: str, asked: str
) -> None:
    """The fork is the last token that both chains share; from there on the plain chain is read."""
    engine = FakeEngine([raw], chunk=3)
    session = await begin(opened, tmp_path, engine)
    await told(session, engine, mode)
    fork, whole = engine.requests[0].fork, (*PLAIN, *encode(" Yes."))
    if mode == "none":
        assert (fork, engine.feeds) == (None, [])
        return
    assert fork is not None
    assert engine.requests[0].prompt[:fork] == PLAIN[:fork]
    assert (fork == len(PLAIN)) == (mode in ("fast", "free"))
    feed = FeedRequest(whole[fork:], whole[:fork], extend(whole[:fork]), background=False)
    assert engine.feeds == [feed]


@pytest.mark.parametrize(("mode", "raw", "asked"), MODES, ids=[each[0] for each in MODES])
async def test_thoughts_that_are_kept_stay_in_the_chain(
    opened: list, tmp_path: Path, mode: str, raw: str, asked: str
) -> None:
    engine = FakeEngine([raw, " Ok."], chunk=3)
    session = await begin(opened, tmp_path, engine)
    path = await told(session, engine, mode, keep=True)
    lead = {"none": "", "fast": " <think>\n</think"}.get(mode, " <think")
    assert path[0].tokens == PLAIN
    assert path[1].tokens == encode(lead + raw)
    assert engine.requests[1].history == (*PLAIN, *encode(lead + raw))
    hinted = mode in ("bit", "lot")
    assert (engine.requests[0].fork is not None) == hinted
    assert len(engine.feeds) == hinted


async def test_a_thought_that_nobody_asked_for_is_forgotten_too(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" <think>hm</think> Yes.", " Ok."])
    session = await begin(opened, tmp_path, engine)
    path = await told(session, engine, "none")
    assert path[1].tokens == encode(" Yes.")
    assert engine.feeds == [FeedRequest(encode(" Yes."), PLAIN, extend(PLAIN), background=False)]


async def test_the_mode_of_the_settings_and_of_the_conversation(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([THOUGHT])
    session = await of_family(opened, tmp_path, engine)
    await session.change_settings(think="free")
    end = await answered(session.chats.send(None, "a"))
    assert engine.requests[-1].prompt[-6:] == encode("<think")
    await session.chats.configure(end.thread.id, mode="none")
    await answered(session.chats.send(end.thread.id, "a"))
    assert engine.requests[-1].prompt[-10:] == encode("Assistant:")
    thread = await session.chats.configure(end.thread.id, mode="", keep_reasoning=True)
    assert (thread.mode, thread.keep_reasoning, thread.chosen_template) == ("", True, "")
    await session.change_settings(think="lot")  # the family does not know it: its own usual mode counts
    await answered(session.chats.send(end.thread.id, "a"))
    assert engine.requests[-1].prompt[-10:] == encode("Assistant:")


async def test_thinking_is_sampled_its_own_way_and_the_person_s_changes_count(
    opened: list, tmp_path: Path
) -> None:
    engine = FakeEngine([THOUGHT])
    session = await of_family(opened, tmp_path, engine)
    await session.change_settings(sampling={"top_k": 7})
    thread = await started(session, "free")
    await answered(session.chats.send(thread, "a"))
    params = engine.requests[-1].params
    assert (params.temperature, params.top_p, params.top_k, params.presence_penalty) == (0.96, 0.76, 7, 1.0)
    await answered(session.chats.send(thread, "a", SamplingParams(temperature=0.5)))
    assert engine.requests[-1].params.temperature == 0.5
    await session.chats.configure(thread, mode="none")
    await answered(session.chats.send(thread, "a"))
    assert engine.requests[-1].params.max_tokens == 256


async def test_another_template_makes_another_chain_over_the_same_messages(
    opened: list, tmp_path: Path
) -> None:
    engine = FakeEngine([" One.", "Two.", " Three."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    before = await stored(session, thread)
    await session.chats.configure(thread, template="bot")
    end = await answered(session.chats.send(thread, "b"))
    assert engine.requests[1].history == (0, *encode("User✿a✿\nBot✿One."))
    assert engine.requests[1].prompt == encode("✿\nUser✿b✿\nBot✿")
    assert engine.requests[1].stop.texts == ("✿",)
    assert end.thread.template == "bot"
    kept = {each.id: each.tokens for each in await stored(session, thread)}
    assert all(kept[each.id] == each.tokens for each in before)
    with pytest.raises(templates.TemplateInvalid):
        await session.chats.configure(thread, template="nothing")
    await session.chats.configure(thread, template="")
    await answered(session.chats.send(thread, "c"))
    assert engine.requests[2].history[: len(PLAIN)] == PLAIN


# -------------------------------------------------------------------------------- another reply


async def test_another_reply_after_a_thought(opened: list, tmp_path: Path) -> None:
    """From the state at the fork, in whatever mode; the message's own tokens stay plain."""
    engine = FakeEngine([THOUGHT, ">so</think> No.", " Plain."])
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "lot")
    await answered(session.chats.send(thread, "a"))
    await session.chats.settled(thread)
    await answered(session.chats.regenerate(thread))
    again = engine.requests[1]
    assert (*again.history, *again.prompt) == engine.requests[0].prompt
    assert len(again.history) == again.fork == engine.requests[0].fork
    await session.chats.configure(thread, mode="none")
    await answered(session.chats.regenerate(thread))
    assert (engine.requests[2].history, engine.requests[2].prompt) == (PLAIN, ())
    path = await stored(session, thread)
    assert [each.tokens for each in path] == [PLAIN, encode(" Plain.")]


# -------------------------------------------------------------------------------- cut thoughts


async def mid_thought(opened: list, home: Path, engine: FakeEngine, *, keep: bool = False):
    session = await begin(opened, home, engine)
    thread = await started(session, "free", keep=keep)
    turn = session.chats.send(thread, "a")
    await until_shown(turn, 20)
    return session, turn


@pytest.mark.parametrize("keep", [False, True])
async def test_stopped_in_mid_thought(opened: list, tmp_path: Path, keep: bool) -> None:
    engine = FakeEngine([">" + LONG, " Ok."], delay=0.002)
    session, turn = await mid_thought(opened, tmp_path, engine, keep=keep)
    turn.stop()
    end = await answered(turn)
    assert end.node is not None
    assert (end.node.status, end.node.message.text) == ("stopped", "")
    assert LONG.lstrip().startswith(end.node.message.reasoning)
    await session.chats.settled(turn.thread)
    await session.chats.configure(turn.thread, mode="none")
    await answered(session.chats.send(turn.thread, "b"))
    if keep:
        thought = engine.requests[1].history[len(PLAIN) :]
        assert thought[:8] == encode(" <think>")
    else:
        assert engine.requests[1].history == PLAIN
    assert engine.requests[1].prompt == NEXT


@pytest.mark.parametrize("keep", [False, True])
async def test_an_engine_that_dies_in_mid_thought(opened: list, tmp_path: Path, keep: bool) -> None:
    engine = FakeEngine([FakeReply(">hm, let me", error=WorkerDied(9)), " Ok."])
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "free", keep=keep)
    assert isinstance(await failed(session.chats.send(thread, "a")), WorkerDied)
    node = (await session.chats.open(thread)).nodes[-1]
    assert (node.status, node.message.text, node.message.reasoning) == ("failed", "", "hm, let me")
    await session.chats.configure(thread, mode="none")
    await answered(session.chats.send(thread, "b"))
    lead = encode(" <think>hm, let me") if keep else ()
    assert engine.requests[1].history == (*PLAIN, *lead)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("raw", [">hm", ">hm</think> Yes, and"], ids=["thought", "answer"])
async def test_a_crash_while_a_thinking_reply_grows(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool, raw: str
) -> None:
    """What stands in the library at any moment is enough to go on from, whatever comes after."""
    monkeypatch.setattr("rwkv_chat.session.writing.GROWTH_SECONDS", 0.0)
    engine = FakeEngine([raw + " " * 400, " Ok."], delay=0.005, chunk=1)
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "free", keep=keep)
    session.chats.send(thread, "a")
    wanted = "hm" if raw == ">hm" else "Yes, and"

    async def written() -> bool:
        nodes = (await session.chats.open(thread)).nodes
        return len(nodes) == 2 and wanted in nodes[1].message.reasoning + nodes[1].message.text

    await until(written)
    after = await begin(opened, tmp_path, other := FakeEngine([" Ok."]))  # as a new start finds it
    assert (await after.chats.open(thread)).nodes[-1].status == "growing"
    await after.chats.configure(thread, mode="none")
    await answered(after.chats.send(thread, "b"))
    reply = other.requests[0].history[len(PLAIN) :]
    if keep:
        assert ByteTokenizer().decode_bytes(reply).startswith(f" <think{raw}".encode())
    else:
        assert ByteTokenizer().decode_bytes(reply).rstrip() == (b" Yes, and" if "Yes" in raw else b"")


async def test_a_thought_that_never_ends_is_all_thought(opened: list, tmp_path: Path) -> None:
    """Also one of ten thousand letters; and a stop text ends it as it ends an answer."""
    long = "so " * 3400
    engine = FakeEngine([FakeReply(f">{long}", reason="length")], chunk=500)
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "free")
    events: list[TurnEvent] = await all_of(session.chats.send(thread, "a"))
    node = (await session.chats.open(thread)).nodes[-1]
    assert (node.message.reasoning, node.message.text, node.status) == (long, "", "length")
    assert (shown(events, "reasoning"), shown(events)) == (long, "")
    assert (await stored(session, thread))[-1].tokens == ()


async def test_a_message_stops_the_reading_and_is_answered(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([THOUGHT, " Ok."], feed_delay=5)
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "free")
    await answered(session.chats.send(thread, "a"))
    going = session.chats.reading(thread)
    assert going is not None
    await session.chats.configure(thread, mode="none")
    await answered(session.chats.send(thread, "b"))
    assert going.stopping.is_set()
    assert (await going.result()) == HasRead(thread, None)
    assert said(await session.chats.open(thread)) == ["a", "Yes.", "b", "Ok."]


async def test_leaving_does_not_wait_for_the_reading(tmp_path: Path) -> None:
    opened: list[Session] = []
    engine = FakeEngine([THOUGHT], feed_delay=600)
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "free")
    await answered(session.chats.send(thread, "a"))
    async with asyncio.timeout(60):
        await session.close()


# -------------------------------------------------------------------------------- 20B


class TwentyB(ByteTokenizer):
    """Of the 20B vocabulary, only what line ends are."""

    def encode(self, text: str) -> tuple[int, ...]:
        return {"\n": (187,), "\n\n": (535,)}.get(text, super().encode(text))


@pytest.mark.parametrize(
    ("ids", "fed"),
    [
        ((5, 535), (5, 187, 187)),
        ((535,), (187, 187)),
        ((535, 5), (535, 5)),
        ((5, 187), (5, 187)),
        ((), ()),
    ],
)
def test_a_blank_line_at_the_end_is_two_line_ends_for_the_20b_models(
    ids: tuple[int, ...], fed: tuple[int, ...]
) -> None:
    assert as_trained(ids, TwentyB()) == fed
    assert as_trained(ids, ByteTokenizer()) == ids


async def test_how_long_it_was_thought_about_is_kept_with_a_reply(opened: list, tmp_path: Path) -> None:
    """A reply that goes on counts what its beginning took, and one without thoughts has nothing to count."""
    cut = FakeReply(THOUGHT[:4], reason="length")
    engine = FakeEngine([cut, "\n</think>\n Yes.", " No."], delay=0.002, chunk=1)
    session = await begin(opened, tmp_path, engine)
    thread = await started(session, "free", keep=True)
    first = (await answered(session.chats.send(thread, "a"))).node
    second = (await answered(session.chats.continue_reply(thread))).node
    await session.chats.configure(thread, mode="none")
    third = (await answered(session.chats.send(thread, "b"))).node
    assert first is not None
    assert second is not None
    assert third is not None
    assert 0 < first.thought_seconds <= second.thought_seconds
    assert third.thought_seconds == 0
    kept = [each.thought_seconds for each in (await session.chats.open(thread)).nodes]
    assert kept == [0, second.thought_seconds, 0, third.thought_seconds]


@pytest.mark.parametrize("damaged", ['"x"', "[1]", "NaN", "-1", "Infinity", "null", '{"a": 1}', "1e999"])
async def test_a_damaged_time_of_thought_is_none(damaged: str, opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([THOUGHT]))
    thread = await started(session, "free")
    await answered(session.chats.send(thread, "a"))
    usage = f'{{"thought_seconds": {damaged}}}'
    await session.library.run(lambda db: db.execute("UPDATE nodes SET usage = ?", (usage,)).rowcount)
    assert [each.thought_seconds for each in (await session.chats.open(thread)).nodes] == [0, 0]
