"""What is asked of the engine, and what is written down, for each kind of turn: on a fake engine; and a reply
that a crash cut, on the real one.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pytest

from engine.errors import WorkerDied
from engine.types import SamplingParams
from rwkv_chat.library import nodes
from rwkv_chat.library.nodes import Reply
from rwkv_chat.session import (
    Answered,
    Committed,
    EmptyMessage,
    ReplyEnded,
    ReplyGrew,
    Session,
    ThreadBusy,
)
from rwkv_chat.session.errors import NothingToContinue, ReplyWhole
from tests.chat.real import ask, model_folder, open_real
from tests.chat.talk import LONG, all_of, answered, begin, failed, said, stored, until_shown
from tests.fakes import ByteTokenizer, FakeEngine, FakeReply

if TYPE_CHECKING:
    from pathlib import Path

encode = ByteTokenizer().encode
ASKED = (0, *encode("User: a\n\nAssistant:"))


def grown(events: list, index: int = 0) -> str:
    return "".join(
        each.text
        for each in events
        if isinstance(each, ReplyGrew) and (each.index, each.part) == (index, "answer")
    )


# ------------------------------------------------------------------------------------------------ going on


async def test_a_cut_reply_goes_on_in_a_new_one_that_hides_it(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" One", reason="length"), " two."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    cut = (await stored(session, thread))[-1]
    events = await all_of(session.chats.continue_reply(thread))
    assert grown(events) == "One two."
    request = engine.requests[1]
    assert (request.history, request.prompt) == (ASKED + encode(" One"), ())
    assert (request.continues, request.params.seed) == (4, cut.seed)
    whole = (await stored(session, thread))[-1]
    assert (whole.message.text, whole.tokens, whole.status) == ("One two.", encode(" One two."), "complete")
    assert (whole.origin, whole.parent) == (cut.id, cut.parent)
    assert (await session.library.run(nodes.get, cut.id)).deleted is not None
    await session.branches.undo(thread)
    assert (await stored(session, thread))[-1].id == cut.id
    assert len(await session.branches.siblings(cut.id)) == 2


async def test_a_cut_reply_that_something_follows_stays_in_sight(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" One", reason="length"), " b.", " two."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    cut = (await stored(session, thread))[-1]
    await answered(session.chats.send(thread, "b"))
    await session.branches.go(thread, cut.id)
    await answered(session.chats.continue_reply(thread))
    assert len(await session.branches.siblings(cut.id)) == 2
    await session.branches.switch(thread, cut.id)
    assert said(await session.chats.open(thread)) == ["a", "One", "b", "b."]


async def test_what_cannot_go_on_says_so(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(">hm", reason="length")])
    session: Session = await begin(opened, tmp_path, engine)
    empty = await session.chats.create()
    assert isinstance(await failed(session.chats.continue_reply(empty.id)), NothingToContinue)
    await session.chats.configure(empty.id, template="classic", mode="free")
    await answered(session.chats.send(empty.id, "a"))
    node = (await stored(session, empty.id))[-1]
    assert (node.message.text, node.message.reasoning, node.tokens) == ("", "hm", ())
    assert isinstance(await failed(session.chats.continue_reply(empty.id)), NothingToContinue)
    assert len(engine.requests) == 1


async def test_a_whole_reply_does_not_go_on_but_one_that_a_person_wrote_does(
    opened: list, tmp_path: Path
) -> None:
    engine = FakeEngine([FakeReply(" One."), " and more."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    assert isinstance(await failed(session.chats.continue_reply(thread)), ReplyWhole)
    assert len(engine.requests) == 1
    reading = await session.branches.edit(thread, (await stored(session, thread))[-1].id, "Mine")
    await reading.result()
    end = await answered(session.chats.continue_reply(thread))
    assert end.node is not None
    assert end.node.message.text == "Mine and more."


async def test_thoughts_that_are_kept_go_on_where_they_were_cut(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(">hm", reason="length"), ", well\n</think>\n Yes."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await session.chats.create()).id
    await session.chats.configure(thread, template="classic", mode="free", keep_reasoning=True)
    await answered(session.chats.send(thread, "a"))
    await session.chats.configure(thread, mode="none")
    end = await answered(session.chats.continue_reply(thread))
    assert end.node is not None
    assert (end.node.message.reasoning, end.node.message.text) == ("hm, well\n", "Yes.")
    assert end.node.tokens == encode(" <think>hm, well\n</think>\n Yes.")
    assert engine.requests[1].history == ASKED + encode(" <think>hm")


async def test_an_answer_goes_on_without_the_thoughts_before_it(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(">hm</think> One.\n\nTwo", reason="length"), " and three."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await session.chats.create()).id
    await session.chats.configure(thread, template="classic", mode="free")
    await answered(session.chats.send(thread, "a"))
    await session.chats.settled(thread)
    end = await answered(session.chats.continue_reply(thread))
    assert end.node is not None
    assert (end.node.message.reasoning, end.node.message.text) == ("hm", "One.\n\nTwo and three.")
    assert end.node.tokens == encode(" One.\nTwo and three.")
    assert engine.requests[1].history == ASKED + encode(" One.\nTwo")


async def test_a_continuation_that_is_stopped_at_once_leaves_what_was(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" One", reason="length"), FakeReply("", reason="cancelled"), ""])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    assert (await answered(session.chats.continue_reply(thread))).node is None
    assert len(await stored(session, thread)) == 2
    end = await answered(session.chats.continue_reply(thread))  # the model has nothing to add
    assert end.node is not None
    assert (end.node.message.text, end.node.status) == ("One", "complete")


async def test_an_engine_that_dies_leaves_both_parts(opened: list, tmp_path: Path) -> None:
    died = FakeReply(" two", error=WorkerDied(9))
    engine = FakeEngine([FakeReply(" One", reason="length"), died])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    assert isinstance(await failed(session.chats.continue_reply(thread)), WorkerDied)
    node = (await stored(session, thread))[-1]
    assert (node.message.text, node.status) == ("One two", "failed")
    assert node.tokens == encode(" One two")
    assert len(await session.branches.siblings(node.id)) == 2


@pytest.mark.parametrize("covered", [1, 5, 9])
async def test_a_reply_that_a_crash_cut_is_the_one_that_it_would_have_been(
    tmp_path: Path, covered: int
) -> None:
    """On the real engine, from the tokens that were written down, drawn with penalties."""
    params = SamplingParams(
        temperature=1.0,
        top_p=0.95,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        max_tokens=14,
        seed=3,
        bans=(0,),
    )
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    whole = (await ask(session, None, "one", params)).node
    assert whole is not None
    assert whole.tokens is not None
    speaker = await session.models.speaking()
    _, asked = await session.library.run(nodes.append_user, "crashed", "one", "", create=True)
    data = speaker.tokenizer.decode_bytes(whole.tokens[:covered])
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data).lstrip()
    tokens = whole.tokens[:covered]
    reply = Reply("r", asked.id, text, "", "growing", speaker.coding, tokens, seed=3, params=params)
    await session.library.run(nodes.save_reply, "crashed", reply)
    turn = await session.chats.resume("crashed")
    assert turn is not None
    end = await answered(turn)
    assert await session.chats.resume("crashed") is None
    assert end.node is not None
    assert (end.node.tokens, end.node.message) == (whole.tokens, whole.message)
    await session.close()


# ------------------------------------------------------------------------------------------------ begun


async def test_a_begun_reply_is_fed_after_its_message(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" thing."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await session.chats.create()).id
    await session.chats.configure(thread, template="classic", mode="free")
    events = await all_of(session.chats.send(thread, "a", begin=" Sure,\r\n some "))
    assert grown(events) == "Sure,\n some thing."
    assert [(each.history, each.prompt) for each in engine.feeds] == [((), ASKED)]
    request, begun = engine.requests[0], encode(" Sure,\n some")
    assert (request.history, request.prompt, request.continues) == (ASKED, begun, len(begun))
    node = (await stored(session, thread))[-1]
    assert (node.message.text, node.tokens) == ("Sure,\n some thing.", begun + encode(" thing."))
    assert (node.mode, node.message.reasoning) == ("none", "")
    await answered(session.chats.regenerate(thread, begin="No,"))
    assert (engine.requests[1].history, engine.requests[1].prompt) == (ASKED, encode(" No,"))
    assert len(engine.feeds) == 1
    await answered(session.chats.send(thread, "b", begin="  "))
    assert engine.requests[2].continues == 0


async def test_a_begun_reply_that_is_stopped_while_its_message_is_read(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(feed_delay=5.0)
    session: Session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "a", begin="Sure,")
    async for event in turn:
        if isinstance(event, Committed):
            turn.stop()
    end = await answered(turn)
    assert (end.node, end.reason) == (None, "cancelled")
    assert said(await session.chats.open(turn.thread)) == ["a"]
    assert engine.requests == []


# ------------------------------------------------------------------------------------------------ several


async def test_alternatives_are_committed_one_by_one(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", FakeReply(" A.", others=(" Bee.", " C."))])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    events = await all_of(session.chats.alternatives(thread, 3, SamplingParams(seed=4)))
    assert [grown(events, index) for index in range(3)] == ["A.", "Bee.", "C."]
    ends = [each for each in events if isinstance(each, ReplyEnded)]
    assert [each.index for each in ends] == [0, 1, 2]
    end = events[-1]
    assert isinstance(end, Answered)
    assert [each.message.text for each in end.alternatives] == ["A.", "Bee.", "C."]
    assert end.node is not None
    assert end.node == end.alternatives[0]
    assert [each.seed for each in end.alternatives] == [4, 5, 6]
    assert end.thread.tip == end.node.id
    assert len(await session.branches.siblings(end.node.id)) == 4
    undone = await session.branches.undo(thread)
    assert (undone.kind, said(await session.chats.open(thread))) == ("again", ["a", "One."])
    with pytest.raises(ValueError, match="9"):
        session.chats.alternatives(thread, 9)


async def test_of_a_chosen_alternative_the_answer_is_read(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", FakeReply(">hm</think> A.", others=(">ah</think> B.",)), " On."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await session.chats.configure(thread, template="classic", mode="free")
    end = await answered(session.chats.alternatives(thread, 2))
    assert [each.message.reasoning for each in end.alternatives] == ["hm", "ah"]
    await session.chats.settled(thread)
    assert engine.feeds[-1].prompt == encode(" A.")
    await session.branches.switch(thread, end.alternatives[1].id)
    await session.chats.settled(thread)
    assert engine.feeds[-1].prompt == ASKED + encode(" B.")
    assert engine.feeds[-1].background


async def test_alternatives_in_mid_writing_are_all_kept(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", FakeReply(LONG, others=(LONG,))], delay=0.002)
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    turn = session.chats.alternatives(thread, 2)
    await until_shown(turn, 20)
    with pytest.raises(ThreadBusy):
        await session.branches.undo(thread)
    turn.stop()
    end = await answered(turn)
    assert [each.status for each in end.alternatives] == ["stopped", "stopped"]
    assert all(len(each.message.text) > 5 for each in end.alternatives)


# ------------------------------------------------------------------------------------------------ asides


async def test_an_aside_parts_from_the_conversation_where_it_stood(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" One.", " Aside.", " Two."])
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    events = await all_of(session.chats.aside(thread, "b"))
    assert grown(events) == "Aside."
    assert not any(isinstance(each, Committed) for each in events)
    request, before = engine.requests[1], ASKED + encode(" One.")
    assert (request.history, request.prompt, request.fork) == (
        before,
        encode("\n\nUser: b\n\nAssistant:"),
        len(before),
    )
    end = events[-1]
    assert isinstance(end, Answered)
    assert end.node is not None
    assert (end.node.id, end.node.message.text) == ("", "Aside.")
    assert said(await session.chats.open(thread)) == ["a", "One."]
    await answered(session.chats.send(thread, "c"))
    assert engine.requests[2].history == before
    with pytest.raises(EmptyMessage):
        session.chats.aside(thread, " ")
    alone = await answered(session.chats.aside(None, "b"))
    assert alone.node is not None
    assert engine.requests[3].fork == 1
    assert len(await session.chats.threads()) == 1
