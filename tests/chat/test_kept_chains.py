"""Chains that were coded lately: what is asked of the engine is the same with and without them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.prefix import extend
from rwkv_chat.library import known, nodes
from rwkv_chat.library.rows import pack
from rwkv_chat.session import Answered, SessionError
from rwkv_chat.session.chain import Chain, Place
from rwkv_chat.session.kept_chains import MOST, MOST_TOKENS, KeptChains
from tests.chat.books import CODING
from tests.chat.talk import answered, begin, said
from tests.chat.test_tree import talk
from tests.fakes import FakeEngine, FakeReply

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from engine.types import GenerateRequest
    from rwkv_chat.session import Session

REPLIES = [" One.", " Two.", FakeReply(" hm</think>\n\nThree."), " Four.", " Five."]


async def script(session: Session) -> None:
    """Whatever begins a reply, in a conversation that is longer than what is looked at one by one."""
    chats, branches = session.chats, session.branches
    thread = (await answered(chats.send(None, "a", system="Be kind"))).thread.id
    for text in ("b", "c", "d", "e", "f"):
        await answered(chats.send(thread, text))
    await answered(chats.regenerate(thread))
    await branches.undo(thread)
    await answered(chats.send(thread, "g", begin="Sure"))
    shown = (await chats.open(thread)).nodes
    await branches.go(thread, shown[6].id)
    await chats.configure(thread, mode="free")
    await answered(chats.send(thread, "h"))
    turn = await branches.edit(thread, shown[5].id, "C")
    await turn.result()
    await answered(chats.aside(thread, "what?"))
    other = (await branches.branch(thread, shown[8].id)).id
    await answered(chats.send(other, "i"))
    await answered(chats.send(thread, "j", replace(session.sampling, max_tokens=3)))
    end = await chats.continue_reply(thread).result()
    assert isinstance(end, Answered) or isinstance(end.error, SessionError)
    await branches.refresh(thread, 1).result()
    await answered(chats.send(thread, "k"))


def asked(each: GenerateRequest) -> tuple:
    params = replace(each.params, seed=None)
    return (*each.history, *each.prompt), len(each.history), each.start, each.fork, params, each.continues


async def test_what_is_asked_is_the_same_with_them(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = []
    for kept in (True, False):
        if not kept:
            monkeypatch.setattr(KeptChains, "keep", lambda *_: None)
        engine = FakeEngine(REPLIES)
        await script(await begin(opened, tmp_path / str(kept), engine))
        both.append([asked(each) for each in engine.requests])
    assert both[0] == both[1]


async def test_a_long_conversation_is_read_once(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begin(opened, tmp_path, FakeEngine([" Yes."]))
    thread, ids = await session.library.run(lambda db: talk(db, *(f"number {each}" for each in range(20))))
    read = []
    whole = nodes.memory

    def memory(db: sqlite3.Connection, tip: str | None, coding: str) -> tuple:
        read.append(tip)
        return whole(db, tip, coding)

    monkeypatch.setattr(known.nodes, "memory", memory)
    for text in ("one", "two"):
        await answered(session.chats.send(thread, text))
    await answered(session.chats.regenerate(thread))
    await session.branches.go(thread, ids[20])
    await answered(session.chats.send(thread, "three"))
    assert len(read) == 1
    await session.chats.delete(thread)
    await answered(session.chats.send(thread, "four"))
    assert len(read) == 2, "what was deleted is held no more"


@pytest.mark.parametrize("damage", ["key", "tokens and key"])
async def test_what_the_library_has_counts(opened: list, tmp_path: Path, damage: str) -> None:
    """Another program may have gone on otherwise, or repaired something."""
    engine = FakeEngine([" Yes."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    for text in ("b", "c"):
        await answered(session.chats.send(thread, text))
    shown = (await session.chats.open(thread)).nodes
    *_, before, changed, _, _ = shown

    def change(db: sqlite3.Connection) -> None:
        path = nodes.path(db, before.id, CODING)
        start = path[-1].node.prefix or ""
        tokens = (1, 2, 3)
        for each in shown[shown.index(changed) :]:
            if damage == "key":
                db.execute("UPDATE node_tokens SET prefix = ? WHERE node = ?", ("a" * 64, each.id))
            else:
                start = extend(tokens, start)
                values = pack(tokens), start, each.id
                db.execute("UPDATE node_tokens SET tokens = ?, prefix = ? WHERE node = ?", values)

    await session.library.run(change)
    await answered(session.chats.send(thread, "d"))
    assert said(await session.chats.open(thread))[-2:] == ["d", "Yes."]
    request = engine.requests[-1]
    path = await session.library.run(nodes.path, (await session.chats.open(thread)).nodes[-2].id, CODING)
    assert request.history + request.prompt == tuple(t for each in path for t in each.node.tokens or ())
    assert (request.history[-9:] == (1, 2, 3) * 3) == (damage != "key")
    assert request.start == extend(request.history)


# ----------------------------------------------------------------------------------------------- what is kept


def chain(name: str, messages: int, tokens: int = 1) -> Chain:
    places = tuple(Place(tokens * at, f"{name}{at}", f"{name}-{at}") for at in range(1, messages + 1))
    return Chain(tuple(range(tokens * messages)), f"{name}{messages}", tokens, "", (), places)


def test_the_last_ones_are_kept_within_bounds() -> None:
    kept = KeptChains()
    for name in "abcdef":
        kept.keep("c", 9, chain(name, 2))
    assert len(kept.keys("c", 9)) == 2 * MOST
    assert kept.up_to("c", 9, "b-1", "b1") is None
    assert kept.keys("c", 8) == kept.keys("d", 9) == {}
    kept.keep("c", 9, chain("long", 2, MOST_TOKENS))
    assert set(kept.keys("c", 9)) == {"long-1", "long-2"}
    kept.clear()
    assert kept.keys("c", 9) == {}


def test_a_chain_that_goes_on_takes_the_place_of_its_beginning() -> None:
    kept = KeptChains()
    for messages in (2, 5, 3):
        kept.keep("c", 9, chain("a", messages, 2))
        assert len(kept.keys("c", 9)) == messages
    found = kept.up_to("c", 9, "a-2", "a2")
    assert found is not None
    assert (found.tokens, found.prefix, found.tip, found.before_tip) == ((0, 1, 2, 3), "a2", 2, "a1")
    assert found.places == chain("a", 2, 2).places
    assert kept.up_to("c", 9, "a-2", "other") is None
