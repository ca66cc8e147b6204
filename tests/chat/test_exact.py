"""The exact prompt before and after every kind of turn, beside a record of what the engine was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.prefix import extend
from rwkv_chat.library import nodes
from rwkv_chat.library.nodes import Reply
from rwkv_chat.session.errors import NothingToContinue, NothingToRegenerate, ReplyWhole
from rwkv_chat.session.wish import Wish
from rwkv_chat.transcript import Thread
from rwkv_chat.tui.prose.exact import exact_rows
from tests.chat.talk import LONG, answered, begin, fed, stored
from tests.chat.test_adapters import ONE, kept
from tests.fakes import ByteTokenizer, FakeEngine, FakeReply

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import TokenIds
    from rwkv_chat.session import Answered, ExactPrompt, Session

encode = ByteTokenizer().encode
THOUGHT = ">hm\n</think>\n Yes."
BOOK = "\n\n".join(f"Chapter {n}. " + "The fox ran over the hill. " * 40 for n in range(8))


def agrees(ahead: ExactPrompt, engine: FakeEngine) -> None:
    """What was shown before a turn is what its request had, byte for byte."""
    request = engine.requests[-1]
    assert ahead.tokens == fed(request)
    assert b"".join(ahead.pieces) == ByteTokenizer().decode_bytes(fed(request))
    assert request.start == extend(request.history)


async def remembers(session: Session, thread: str, engine: FakeEngine) -> None:
    """What stands there after a turn is what the engine was fed and drew, or was given to read instead."""
    await session.chats.settled(thread)
    reply = engine.replies[min(len(engine.requests), len(engine.replies)) - 1]
    drawn = (*fed(engine.requests[-1]), *encode(reply if isinstance(reply, str) else reply.text))
    whole = (await session.chats.exact_prompt(thread)).tokens
    assert whole in (fed(engine.feeds[-1]) if engine.feeds else (), drawn)


async def sent(session: Session, engine: FakeEngine, thread: str | None, text: str) -> Answered:
    ahead = await session.chats.exact_prompt(thread, text)
    end = await answered(session.chats.send(thread, text))
    agrees(ahead, engine)
    await remembers(session, end.thread.id, engine)
    return end


async def chat(session: Session, *, mode: str = "", keep: bool = False, template: str = "classic") -> str:
    thread = await session.chats.create()
    await session.chats.configure(thread.id, template=template, mode=mode, keep_reasoning=keep)
    return thread.id


# ------------------------------------------------------------------------------------------------ turns


async def test_first_and_later_turns(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Zwei — 二 🦊.", " Three."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await sent(session, engine, None, "a\r\n\r\n b ‹0› <|im_end|> \x00")).thread.id
    for text in ("漢字 e\u0301", "c\n\n\nd  "):
        ahead = await session.chats.exact_prompt(thread, text)
        assert ahead.new_from == len((await session.chats.exact_prompt(thread)).tokens)
        await sent(session, engine, thread, text)
        assert engine.requests[-1].start == extend(ahead.tokens[: ahead.new_from])


async def test_a_new_conversation_with_choices_and_a_system_message(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([THOUGHT])
    session: Session = await begin(opened, tmp_path, engine)
    chosen = Thread("", "", None, chosen_template="classic", mode="lot")
    ahead = await session.chats.exact_prompt(None, "a", "Be kind", chosen=chosen)
    assert (ahead.mode, ahead.new_from) == ("lot", 0)
    thread = await chat(session, mode="lot")
    assert await session.chats.exact_prompt(thread, "a", "Be kind") == ahead
    await answered(session.chats.send(thread, "a", system="Be kind"))
    agrees(ahead, engine)
    await remembers(session, thread, engine)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("mode", ["none", "fast", "free", "bit", "lot"])
@pytest.mark.parametrize("template", ["classic", "bot"])
async def test_think_modes(template: str, mode: str, keep: bool, opened: list, tmp_path: Path) -> None:
    replies = {"none": " Yes.", "fast": ">\nYes."}
    engine = FakeEngine([replies.get(mode, THOUGHT)])
    session: Session = await begin(opened, tmp_path, engine)
    thread = await chat(session, mode=mode, keep=keep, template=template)
    for text in ("a", "b"):
        await sent(session, engine, thread, text)
    ahead = await session.chats.exact_prompt(thread, wish=Wish(again=True))
    await answered(session.chats.regenerate(thread))
    agrees(ahead, engine)


async def test_a_thought_that_was_stopped(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([">" + LONG, " Yes."], delay=0.002)
    session: Session = await begin(opened, tmp_path, engine)
    thread = await chat(session, mode="free")
    ahead = await session.chats.exact_prompt(thread, "a")
    turn = session.chats.send(thread, "a")
    async for _ in turn:
        if engine.requests:
            turn.stop()
    agrees(ahead, engine)
    await session.chats.settled(thread)
    await session.chats.configure(thread, mode="none")
    await sent(session, engine, thread, "b")


async def test_a_message_that_waits(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([THOUGHT])
    session: Session = await begin(opened, tmp_path, engine)
    thread = await chat(session, mode="bit")
    await session.library.run(nodes.append_user, thread, "a", "")
    ahead = await session.chats.exact_prompt(thread)
    assert ahead.new_from < len(ahead.tokens)
    turn = await session.chats.answer_pending(thread)
    assert turn is not None
    await answered(turn)
    agrees(ahead, engine)


# ------------------------------------------------------------------------------------------------ again


@pytest.mark.parametrize("mode", ["none", "lot"])
async def test_again_several_begun_and_parted(mode: str, opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", FakeReply(" Two.", others=(" 2.",)), " and on.", " else."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await sent(session, engine, await chat(session), "a")).thread.id
    await session.chats.configure(thread, mode=mode)
    ahead = await session.chats.exact_prompt(thread, wish=Wish(again=True))
    await answered(session.chats.alternatives(thread, 2))
    agrees(ahead, engine)
    ahead = await session.chats.exact_prompt(thread, wish=Wish(again=True, begin="Well, "))
    await answered(session.chats.regenerate(thread, begin="Well, "))
    agrees(ahead, engine)
    await remembers(session, thread, engine)
    node = (await stored(session, thread))[-1]
    lead = (*(node.tokens or ())[:2], 66)
    ahead = await session.chats.exact_prompt(thread, wish=Wish(again=True, lead=lead, mode=node.mode))
    await answered(session.chats.with_tokens(thread, node, lead))
    agrees(ahead, engine)
    await remembers(session, thread, engine)


async def test_a_first_reply_that_is_begun(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" thing."])
    session: Session = await begin(opened, tmp_path, engine)
    ahead = await session.chats.exact_prompt(None, "a", wish=Wish(begin="Some"))
    thread = (await answered(session.chats.send(None, "a", begin="Some"))).thread.id
    agrees(ahead, engine)
    assert fed(engine.feeds[0]) == ahead.tokens[: -len(encode(" Some"))]
    assert (await session.chats.exact_prompt(thread)).tokens == ahead.tokens + encode(" thing.")


@pytest.mark.parametrize(("mode", "reply"), [("none", " One"), ("free", ">hm</think> One.\n\nTwo")])
async def test_a_cut_reply_that_goes_on(mode: str, reply: str, opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(reply, reason="length"), " two."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = await chat(session, mode=mode)
    await sent(session, engine, thread, "a")
    ahead = await session.chats.exact_prompt(thread, wish=Wish(goes_on=True))
    assert ahead.new_from == len(ahead.tokens), "all of it stands there already"
    await answered(session.chats.continue_reply(thread))
    agrees(ahead, engine)


@pytest.mark.parametrize("drawn", [(), encode(" <think>hm, we")])
async def test_a_reply_that_a_crash_cut(drawn: TokenIds, opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", "ll</think>\nYes."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await sent(session, engine, await chat(session, mode="free"), "a")).thread.id
    _, asked = await session.library.run(nodes.append_user, thread, "b", "")
    tokens, reasoning = ((), "hm, we") if drawn else (encode(" On"), "")
    text = "" if drawn else "One"
    reply = Reply(
        "r", asked.id, text, reasoning, "growing", "world/classic", tokens, "e", drawn, mode="free", seed=1
    )
    await session.library.run(nodes.save_reply, thread, reply)
    ahead = await session.chats.exact_prompt(thread, wish=Wish(goes_on=True))
    await answered(session.chats.continue_reply(thread))
    agrees(ahead, engine)


async def test_where_nothing_can_be_answered_or_gone_on_with_it_says_so(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path)
    empty = await session.chats.create()
    for wish, error in ((Wish(again=True), NothingToRegenerate), (Wish(goes_on=True), NothingToContinue)):
        with pytest.raises(error):
            await session.chats.exact_prompt(empty.id, wish=wish)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    with pytest.raises(ReplyWhole):
        await session.chats.exact_prompt(thread, wish=Wish(goes_on=True))


# ------------------------------------------------------------------------------------------------ beside


@pytest.mark.parametrize("mode", ["none", "lot"])
async def test_an_aside_and_the_turn_after_it(mode: str, opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Beside."])
    session: Session = await begin(opened, tmp_path, engine)
    ahead = await session.chats.exact_prompt(None, "q", wish=Wish(aside=True))
    await answered(session.chats.aside(None, "q"))
    agrees(ahead, engine)
    thread = (await sent(session, engine, await chat(session), "a")).thread.id
    await session.chats.configure(thread, mode=mode)
    before = await session.chats.exact_prompt(thread)
    ahead = await session.chats.exact_prompt(thread, "q", wish=Wish(aside=True))
    await answered(session.chats.aside(thread, "q"))
    agrees(ahead, engine)
    assert await session.chats.exact_prompt(thread) == before
    await sent(session, engine, thread, "b")


async def test_a_text_that_is_written(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" a fox.", " It ran.", " And slept."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await session.writings.begin()).id
    for before in ("Once there was ", "Once there was  a fox.", "Once there was  a dog: \n\n It "):
        ahead = await session.writings.exact_prompt(thread, before)
        assert b"".join(ahead.pieces).decode() == before
        await answered(session.writings.complete(thread, before, "The end."))
        agrees(ahead, engine)
        whole = await session.writings.open(thread)
        shown = await session.writings.exact_prompt(thread, whole.before)
        assert b"".join(shown.pieces).decode() == whole.before
        assert (await session.chats.exact_prompt(thread)).tokens == shown.tokens


# ------------------------------------------------------------------------------------------------ memory


async def test_memory_that_begins_anew(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two.", " Three.", " Four."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await sent(session, engine, None, "a")).thread.id
    for text in ("b", "c"):
        await sent(session, engine, thread, text)
    await (await session.branches.remember_last(thread, 1)).result()
    assert (await session.chats.exact_prompt(thread)).tokens == fed(engine.feeds[-1])
    await sent(session, engine, thread, "d")
    await session.branches.refresh(thread, 2).result()
    assert (await session.chats.exact_prompt(thread)).tokens == fed(engine.feeds[-1])
    await sent(session, engine, thread, "e")
    await session.branches.undo(thread)
    await sent(session, engine, thread, "f")


async def test_a_chat_that_has_read_a_text(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" A fox."])
    session: Session = await begin(opened, tmp_path, engine)
    book = (await session.books.add(BOOK)).thread.id
    await (await session.books.read(book)).result()
    assert (await session.chats.exact_prompt(book)).tokens == fed(engine.feeds[-1])
    await sent(session, engine, (await session.books.begin(book)).id, "Who?")


async def test_an_adapter_and_a_persona(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One."])
    session: Session = await begin(opened, tmp_path, engine)
    await session.models.ready()
    thread = (await session.states.begin(await kept(session, ONE))).id
    await sent(session, engine, thread, "a")
    assert [each.path and each.path[-32:] for each in engine.adapts] == [ONE]
    await sent(session, engine, thread, "b")


async def test_another_template_reads_it_anew(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Two."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await sent(session, engine, None, "a")).thread.id
    await session.chats.configure(thread, template="bot")
    ahead = await session.chats.exact_prompt(thread, "b")
    await answered(session.chats.send(thread, "b"))
    agrees(ahead, engine)


# ------------------------------------------------------------------------------------------------ marks


async def test_marks_of_what_has_no_shape_stand_for_nothing_else(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path)
    prompt = await session.chats.exact_prompt(None, "‹0› ↵ ⇥\t ␀\x00 ‹FF› · a  \nb")
    shown = "".join(each.text or "" for each in exact_rows(prompt.tokens, prompt.pieces, 0, 200))
    assert shown.startswith("‹0›User: ‹U+2039›0› ‹U+21B5› ‹U+21E5›⇥ ‹U+2400›␀ ‹U+2039›FF› · a␠␠↵b↵↵Assist")
