"""Sampling that changes while a reply is written, replies that pause because they repeat themselves, the
tokens of a reply, and replies that part from it at one: on a fake engine, and on the real one.
"""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from engine.errors import OutOfMemory
from engine.types import Prefilled, SamplingParams
from rwkv_chat.explain import resumed_words
from rwkv_chat.library import sampled
from rwkv_chat.own_words import BANS, STOPS
from rwkv_chat.session.events import Resumed
from rwkv_chat.session.token_scores import TokenRow, TokenRows
from tests.chat.real import answered as ended
from tests.chat.real import model_folder, open_real
from tests.chat.talk import LONG, all_of, answered, begin, failed, fed, stored, until, until_shown
from tests.fakes import ByteTokenizer, FakeEngine, FakeGenerate, FakeReply

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.transcript import Node, Thread

encode = ByteTokenizer().encode
Kind = Literal["thread", "process"]


# ------------------------------------------------------------------------------------------------- changes


async def test_a_change_reaches_the_reply_that_is_written_and_is_recorded(
    opened: list, tmp_path: Path
) -> None:
    engine = FakeEngine([LONG], delay=0.05)
    session: Session = await begin(opened, tmp_path, engine)
    thread = await session.chats.create("x")
    turn = session.chats.send(thread.id, "a")
    await until_shown(turn)
    await session.chats.configure(thread.id, sampling={"temperature": 0.25, BANS: ["#7"]})
    await until(lambda: _taken(engine))
    turn.stop()
    end = (await answered(turn)).node
    assert end is not None
    asked, (changed,) = engine.requests[0].params, engine.changed
    assert changed == replace(asked, temperature=0.25, bans=(7,))
    drawn = await session.library.run(sampled.drawn, end.id)
    ((position, before),) = drawn.earlier
    assert (drawn.params, before) == (changed, asked)
    assert 0 < position <= drawn.length


async def _taken(engine: FakeEngine) -> bool:
    """The engine has told of every change."""
    (job,) = (each for each in engine.jobs if isinstance(each, FakeGenerate))
    return bool(engine.changed) and not job.changes


async def test_settings_reach_the_replies_that_are_written(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([LONG], delay=0.05)
    session: Session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "a")
    await until_shown(turn)
    await session.set_sampling(replace(session.sampling, top_k=3))
    await session.chats.resample()
    assert [each.top_k for each in engine.changed] == [3]
    turn.stop()
    await answered(turn)


async def test_a_reply_that_goes_on_says_how_its_beginning_was_sampled(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" One", reason="length"), FakeReply(" two", reason="length"), "."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await session.chats.configure(thread, sampling={"penalty_decay": 0.5})
    await answered(session.chats.continue_reply(thread))
    await answered(session.chats.continue_reply(thread))
    first, second, third = engine.requests
    assert second.earlier == ((4, first.params),)
    assert third.earlier == ((4, first.params), (8, second.params))
    assert second.params.penalty_decay == 0.5


# ----------------------------------------------------------------------------------------- after a crash

CRASH = FakeReply(" One two", error=OutOfMemory(2, 1))
ALREADY = len(encode(CRASH.text))


async def crashed(session: Session, thread: str | None = None, params: SamplingParams | None = None) -> str:
    """A conversation with a reply that grew when the program died; its id."""
    turn = session.chats.send(thread, "a", params)
    await failed(turn)
    await session.library.run(as_killed)
    return turn.thread


def as_killed(db: sqlite3.Connection) -> None:
    db.execute("UPDATE nodes SET status = 'growing' WHERE status = 'failed'")


async def resumed(session: Session, thread: str) -> Resumed:
    """What is told of how it goes on."""
    turn = await session.chats.resume(thread)
    assert turn is not None
    (told,) = (each for each in await all_of(turn) if isinstance(each, Resumed))
    return told


async def test_a_reply_goes_on_after_a_crash_as_it_was_sampled(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([CRASH, "."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = await crashed(session)
    assert await resumed(session, thread) == Resumed((), ALREADY)
    first, second = engine.requests
    assert first.params.seed is not None
    assert second.params == replace(first.params, max_tokens=first.params.max_tokens - ALREADY)
    assert second.earlier == ((ALREADY, first.params),)


async def test_what_was_changed_after_the_crash_is_obeyed(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([CRASH, "."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await session.chats.create("x")).id
    await session.chats.configure(thread, sampling={"top_k": 9, BANS: ["#3"]})
    await crashed(session, thread)
    own = {"top_k": 9, "temperature": 0.25, "max_tokens": 100, "seed": 1, BANS: ["#7"]}
    await session.chats.configure(thread, sampling=own)
    told = await resumed(session, thread)
    assert told == Resumed(("temperature", "max_tokens", "bans"), ALREADY)
    first, second = engine.requests
    assert second.params == replace(first.params, temperature=0.25, bans=(7,), max_tokens=100 - ALREADY)
    assert resumed_words(told.changed) == "goes on; changed since: Temperature, Max tokens, Bans"


async def test_what_was_asked_of_one_reply_is_no_change(opened: list, tmp_path: Path) -> None:
    """As the command line's options: they held for that reply, and hold for the rest of it."""
    engine = FakeEngine([CRASH, "."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = await crashed(session, None, SamplingParams(temperature=0.3, top_p=0.4, seed=3, max_tokens=50))
    await session.chats.configure(thread, sampling={"top_p": 0.75})
    assert (await resumed(session, thread)).changed == ("top_p",)
    expected = SamplingParams(temperature=0.3, top_p=0.75, seed=3, max_tokens=50 - ALREADY)
    assert engine.requests[1].params == expected


async def test_of_a_limit_only_what_was_drawn_under_it_is_taken(opened: list, tmp_path: Path) -> None:
    """A reply that was cut by its limit goes on with a whole one, and crashes; and crashes again."""
    engine = FakeEngine([FakeReply(" a" * 20, reason="length"), CRASH, CRASH, "."])
    session: Session = await begin(opened, tmp_path, engine)
    params = SamplingParams(max_tokens=41)
    thread = (await answered(session.chats.send(None, "a", params))).thread.id
    await failed(session.chats.continue_reply(thread, params))
    await session.library.run(as_killed)
    again = await session.chats.resume(thread)
    assert again is not None
    await failed(again)
    await session.library.run(as_killed)
    assert (await resumed(session, thread)).tokens == ALREADY
    assert [each.params.max_tokens for each in engine.requests] == [41, 41, 41 - ALREADY, 41 - 2 * ALREADY]
    assert (await stored(session, thread))[-1].message.text == (" a" * 20).strip() + CRASH.text * 2 + "."


async def test_a_change_reaches_a_reply_that_goes_on_after_a_crash(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([CRASH, LONG], delay=0.05)
    session: Session = await begin(opened, tmp_path, engine)
    thread = await crashed(session)
    turn = await session.chats.resume(thread)
    assert turn is not None
    await until_shown(turn)
    await session.chats.configure(thread, sampling={"temperature": 0.25})
    turn.stop()
    await answered(turn)
    first, (changed,) = engine.requests[0].params, engine.changed
    assert changed == replace(first, temperature=0.25, max_tokens=first.max_tokens - ALREADY)


def test_of_a_reply_whose_end_was_lost_the_params_of_what_is_left_count() -> None:
    one, two, three = (SamplingParams(top_k=k) for k in (1, 2, 3))
    drawn = sampled.Drawn(three, ((4, one), (8, two)), 10)
    assert drawn.up_to(10) == ((4, one), (8, two), (10, three))
    assert drawn.up_to(8) == ((4, one), (8, two))
    assert drawn.up_to(6) == ((4, one), (6, two))
    assert drawn.up_to(3) == ((3, one),)
    assert sampled.Drawn(None, (), 10).up_to(10) == ()


async def test_own_stop_texts_and_bans_are_asked_for(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine()
    session: Session = await begin(opened, tmp_path, engine)
    thread = await session.chats.create("x")
    await session.chats.configure(thread.id, sampling={STOPS: ["END"], BANS: ["a", "#9", "no token"]})
    await answered(session.chats.send(thread.id, "a"))
    assert engine.requests[0].stop.texts[-1] == "END"
    assert engine.requests[0].params.bans == (*encode("a"), 9)


async def test_bans_are_encoded_off_the_loop_and_the_newest_hold(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer may take its time: meanwhile the loop goes on, and what was chosen since then holds."""
    waits, threads = {"b": threading.Event()}, set()

    def slow(self: ByteTokenizer, text: str) -> tuple[int, ...]:
        if text.strip() in ("a", "b", "c"):
            threads.add(threading.current_thread())
            waits.get(text, threading.Event()).wait(0 if text not in waits else 60)
        return real(self, text)

    real = ByteTokenizer.encode
    monkeypatch.setattr(ByteTokenizer, "encode", slow)
    engine = FakeEngine([LONG], delay=0.05)
    session: Session = await begin(opened, tmp_path, engine)
    thread = await session.chats.create("x")
    await session.chats.configure(thread.id, sampling={BANS: ["a"]})
    turn = session.chats.send(thread.id, "?")
    await until_shown(turn)
    assert engine.requests[0].params.bans == real(ByteTokenizer(), "a")
    before = asyncio.all_tasks()
    await session.chats.configure(thread.id, sampling={BANS: ["b"]})
    late = asyncio.all_tasks() - before
    await session.chats.configure(thread.id, sampling={BANS: ["c"]})
    await until(lambda: _taken(engine))
    waits["b"].set()
    await asyncio.wait(late)
    assert [each.bans for each in engine.changed] == [real(ByteTokenizer(), "c")]
    assert threading.main_thread() not in threads
    turn.stop()
    await answered(turn)


# ----------------------------------------------------------------------------------------------- repeating


async def test_a_reply_that_repeats_pauses_and_goes_on_as_it_is_told(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" la la", reason="repeats"), " la.", " end."])
    session: Session = await begin(opened, tmp_path, engine)
    end = await answered(session.chats.send(None, "a"))
    assert (end.reason, end.node and end.node.status) == ("repeats", "stopped")
    again = await answered(session.chats.continue_reply(end.thread.id, repeating=True))
    assert again.node is not None
    assert again.node.message.text == "la la la."
    assert [each.repeats for each in engine.requests] == [True, False]


async def test_who_does_not_want_pauses_has_none(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine()
    session: Session = await begin(opened, tmp_path, engine)
    await session.change_settings(pause_repeats=False)
    await answered(session.chats.send(None, "a"))
    assert not engine.requests[0].repeats


# -------------------------------------------------------------------------------------------------- tokens


async def rows(session: Session, thread: str, node: str) -> tuple[tuple[TokenRow, ...], list[Prefilled]]:
    """All tokens of a message, and what was told of reading before them."""
    found: list[TokenRow] = []
    read = []
    async for event in session.chats.token_scores(thread, node):
        if isinstance(event, TokenRows):
            assert event.first + len(event.rows) <= event.total
            found += event.rows
        else:
            read.append(event)
    return tuple(found), read


async def test_tokens_of_a_reply_and_what_stood_before_it(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One."])
    session: Session = await begin(opened, tmp_path, engine)
    end = await answered(session.chats.send(None, "a"))
    assert end.node is not None
    found, _ = await rows(session, end.thread.id, end.node.id)
    assert b"".join(each.piece for each in found) == b" One."
    assert all((each.share, each.bits) == pytest.approx((0.5, 1.0)) for each in found)
    (request,) = engine.scored
    assert request.history == (0, *encode("User: a\n\nAssistant:"))


async def test_the_first_message_has_no_first_token_to_score(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One."])
    session: Session = await begin(opened, tmp_path, engine)
    end = await answered(session.chats.send(None, "a"))
    asked = (await stored(session, end.thread.id))[0]
    found, _ = await rows(session, end.thread.id, asked.id)
    assert b"".join(each.piece for each in found) == b"User: a\n\nAssistant:"


async def test_another_reply_parts_at_a_token(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", "ther."])
    session: Session = await begin(opened, tmp_path, engine)
    end = await answered(session.chats.send(None, "a"))
    assert end.node is not None
    lead = (*encode(" O"), *encode("t"))
    other = await answered(session.chats.with_tokens(end.thread.id, end.node, lead))
    assert other.node is not None
    assert (other.node.message.text, other.node.parent) == ("Otther.", end.node.parent)
    request = engine.requests[1]
    assert (request.prompt, request.continues) == (lead, len(lead))
    assert request.params.seed != engine.requests[0].params.seed
    assert other.node.tokens == lead + encode("ther.")
    assert len(await session.branches.siblings(end.node.id)) == 2


async def thought(
    opened: list, tmp_path: Path, engine: FakeEngine, *, keep_reasoning: bool = False
) -> tuple[Session, Thread, Node]:
    """A conversation whose reply to "a" was thought about."""
    session: Session = await begin(opened, tmp_path, engine)
    thread = await session.chats.create("x")
    await session.chats.configure(thread.id, template="classic", mode="free", keep_reasoning=keep_reasoning)
    end = await answered(session.chats.send(thread.id, "a"))
    await session.chats.settled(thread.id)
    assert end.node is not None
    return session, thread, end.node


async def test_it_parts_within_thoughts_that_are_remembered(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([">hm, well\n</think>\n Yes.", "am\n</think>\n No."])
    session, thread, node = await thought(opened, tmp_path, engine, keep_reasoning=True)
    assert node.tokens is not None
    at = node.tokens.index(encode("m")[0])
    lead = node.tokens[:at]
    other = await answered(session.chats.with_tokens(thread.id, node, lead))
    assert other.node is not None
    assert (other.node.message.reasoning, other.node.message.text) == ("ham\n", "No.")
    assert other.node.mode == "free"


async def test_it_parts_within_an_answer_whose_thoughts_are_forgotten(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([">hm\n</think>\n Yes.", "o."])
    session, thread, node = await thought(opened, tmp_path, engine)
    other = await answered(session.chats.with_tokens(thread.id, node, encode(" N")))
    assert other.node is not None
    assert (other.node.message.reasoning, other.node.message.text) == ("", "No.")


async def test_forgotten_thoughts_are_looked_at_as_they_were_drawn(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([">hm\n</think>\n Yes.", "ay\n</think>\n No.", " On."])
    session, thread, node = await thought(opened, tmp_path, engine)
    assert node.tokens == encode(" Yes."), "what the model remembers"
    found, _ = await rows(session, thread.id, node.id)
    assert b"".join(each.piece for each in found) == b">hm\n</think>\n Yes."
    assert engine.scored[-1].history == fed(engine.requests[0]), "after what asked for thoughts"
    lead = (*encode(">h"),)
    other = await answered(session.chats.with_tokens(thread.id, node, lead, drawn=True))
    assert other.node is not None
    assert (other.node.message.reasoning, other.node.message.text) == ("hay\n", "No.")
    assert fed(engine.requests[1]) == fed(engine.requests[0]) + lead
    assert engine.requests[1].continues == len(lead)
    assert other.node.tokens == encode(" No."), "these thoughts are forgotten, too"
    again, _ = await rows(session, thread.id, other.node.id)
    assert b"".join(each.piece for each in again) == b">hay\n</think>\n No."
    await session.chats.settled(thread.id)
    await answered(session.chats.send(thread.id, "b"))
    assert fed(engine.requests[2])[: len(fed(engine.feeds[-1]))] == fed(engine.feeds[-1])


async def test_of_thoughts_whose_tokens_were_not_kept_the_answer_is_looked_at(
    opened: list, tmp_path: Path
) -> None:
    """As an older program, or a copy, has them."""
    engine = FakeEngine([">hm\n</think>\n Yes."])
    session, thread, node = await thought(opened, tmp_path, engine)

    def forget(db: sqlite3.Connection) -> None:
        db.execute("UPDATE node_tokens SET drawn = NULL")
        db.commit()

    await session.library.run(forget)
    told = [each async for each in session.chats.token_scores(thread.id, node.id)]
    (part,) = (each for each in told if isinstance(each, TokenRows))
    assert (b"".join(each.piece for each in part.rows), part.form) == (b" Yes.", "answer")


async def test_kept_thoughts_are_looked_at_as_they_are_remembered(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([">hm\n</think>\n Yes."])
    session, thread, node = await thought(opened, tmp_path, engine, keep_reasoning=True)
    told = [each async for each in session.chats.token_scores(thread.id, node.id)]
    forms = {each.form for each in told if isinstance(each, TokenRows)}
    assert forms == {"remembered"}


@pytest.mark.parametrize("kind", ["thread", "process"])
async def test_the_real_engine_scores_and_parts(opened: list, tmp_path: Path, kind: Kind) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"), kind)
    opened.append(session)
    session.models.start()
    params = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=40, seed=5, bans=(0,))
    end = await ended(session.chats.send(None, "hello", params))
    assert end.node is not None
    assert end.node.tokens is not None
    found, read = await rows(session, end.thread.id, end.node.id)
    assert tuple(each.id for each in found) == end.node.tokens
    assert {each.total for each in read} == {1}, "nothing is fed again: the state before the reply is there"
    for each in found:
        assert each.bits == pytest.approx(-math.log2(each.share), abs=1e-6)
        assert each.rank >= 8 or each.others[each.rank].id == each.id
    place = next(at for at, each in enumerate(found) if at > 3 and each.others[0].id != each.id)
    lead = (*end.node.tokens[:place], found[place].others[0].id)
    other = await ended(session.chats.with_tokens(end.thread.id, end.node, lead, params))
    assert other.node is not None
    assert other.node.tokens is not None
    assert other.node.tokens[: len(lead)] == lead
    again, _ = await rows(session, end.thread.id, other.node.id)
    for one, two in zip(found[:place], again[:place], strict=True):
        assert one.share == pytest.approx(two.share, rel=1e-3)


@pytest.mark.parametrize("kind", ["thread", "process"])
async def test_the_real_engine_changes_and_the_record_says_from_where(
    opened: list, tmp_path: Path, kind: Kind
) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"), kind)
    opened.append(session)
    session.models.start()
    thread = await session.chats.create("x")
    own = {"temperature": 1.5, "top_p": 1.0, "max_tokens": 100_000, "seed": 5, BANS: ["#0"]}
    await session.chats.configure(thread.id, sampling=own)
    turn = session.chats.send(thread.id, "hello")
    await until_shown(turn)
    await session.chats.configure(thread.id, sampling={**own, "penalty_decay": 0.9})

    async def recorded() -> bool:
        tip = (await session.chats.open(thread.id)).nodes[-1]
        return len((await session.library.run(sampled.drawn, tip.id)).earlier) == 1

    await until(recorded)
    turn.stop()
    end = await ended(turn)
    assert end.node is not None
    drawn = await session.library.run(sampled.drawn, end.node.id)
    assert drawn.params is not None
    ((position, before),) = drawn.earlier
    assert drawn.params == replace(before, penalty_decay=0.9)
    assert (before.bans, before.seed) == ((0,), 5)
    assert 0 < position <= drawn.length
