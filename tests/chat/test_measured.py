"""Conversations that are walked in parts: what is found is what the whole gives, with less in memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from engine.prefix import EMPTY
from rwkv_chat.library import nodes, rows, threads, walks
from rwkv_chat.library.nodes import Coded
from rwkv_chat.session import HasRead, measured, reading
from rwkv_chat.session.readings import thread_and_tip
from tests.chat.talk import begin
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from rwkv_chat.session import Session
    from tests.conftest import Sample

CODING = "world/classic"


def write(db: sqlite3.Connection, texts: list[str], fresh: int = -1, system: bool = False) -> str:
    """A conversation of these messages; its id. No model has read it."""
    thread = threads.create(db, "long").id
    tip = nodes.put(db, thread, None, "system", "Be kind.") if system else None
    for at, text in enumerate(texts):
        tip = nodes.put(db, thread, tip, "assistant" if at % 2 else "user", text, fresh=at == fresh)
    threads.move_tip(db, thread, tip)
    return thread


@pytest.mark.parametrize("at_once", [1, 3, 128])
@pytest.mark.parametrize(("fresh", "system"), [(-1, True), (-1, False), (4, True), (8, False)])
async def test_the_parts_make_the_whole(
    fresh: int, system: bool, at_once: int, opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "AT_ONCE", at_once)
    session: Session = await begin(opened, tmp_path)
    texts = [f"{at} müde 漢字\n\nline" * (at + 1) for at in range(9)]
    id_ = await session.library.run(write, texts, fresh, system)
    thread, tip = await session.library.run(thread_and_tip, id_)
    speaker = await session.models.speaking()
    desk = session.turns.desk
    there = await measured.measured(desk, thread, tip, speaker)
    stored = await session.library.run(nodes.memory, tip, CODING)
    assert await session.library.run(walks.some, there.nodes, CODING) == stored
    assert all(each.node.tokens for each in stored), "they are committed"
    whole = await reading.coded_memory(desk, thread, tip, speaker)
    assert (there.ends, there.length) == (whole.ends, len(whole.tokens))
    assert whole.changed == ()
    assert await measured.measured(desk, thread, tip, speaker) == there
    assert (await session.branches.absorbed(id_)).forgotten == max(0, fresh) + (system and fresh > 0)


async def test_a_cut_reply_and_damaged_tokens_are_walked_as_ever(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path)
    id_ = await session.library.run(write, ["a", "b", "c"])
    thread, tip = await session.library.run(thread_and_tip, id_)
    assert tip is not None

    def damage(db: sqlite3.Connection) -> None:
        nodes.save_tokens(db, CODING, (Coded(tip, (5, 100_000), EMPTY),))
        db.execute("UPDATE node_tokens SET tail = 'xyz'")

    await session.library.run(damage)
    speaker = await session.models.speaking()
    there = await measured.measured(session.turns.desk, thread, tip, speaker)
    assert there.ends == (await reading.coded_memory(session.turns.desk, thread, tip, speaker)).ends


def test_a_loop_ends_and_nothing_is_nothing(db: sqlite3.Connection) -> None:
    thread = write(db, ["a", "b", "c"])
    tip = nodes.tip(db, thread)
    ids = walks.memory(db, tip)
    db.execute("UPDATE nodes SET parent = ? WHERE id = ?", (tip, ids[0]))
    assert walks.memory(db, tip) == ids == tuple(each.node.id for each in nodes.memory(db, tip, ""))
    assert walks.length(db, tip) == 3
    assert walks.memory(db, None) == walks.memory(db, "nobody") == walks.some(db, (), CODING) == ()
    assert walks.some(db, ("nobody", ids[1]), CODING)[0].node.id == ids[1]


async def test_a_long_conversation_is_counted_and_read_in_little_memory(
    opened: list, tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part's request, and what it says was read before it, is all that is there at a time."""
    messages = sample("messages counted and read", 120, 5_000)
    monkeypatch.setattr(measured, "AT_ONCE", 8)
    engine = FakeEngine()
    session: Session = await begin(opened, tmp_path, engine)
    id_ = await session.library.run(write, ["word " * 200] * messages)
    read: list[int] = []
    submit = engine.submit

    def forgetting(request: object) -> object:
        job = submit(request)  # pyright: ignore[reportArgumentType]
        read.append(len(request.prompt))  # pyright: ignore[reportAttributeAccessIssue]
        engine.feeds.clear()
        engine.jobs.clear()
        return job

    monkeypatch.setattr(engine, "submit", forgetting)
    tokens = (await session.branches.absorbed(id_)).tokens
    rows.ids((0,))  # the table of shared ids is there
    tracemalloc.start()
    try:
        assert (await session.branches.absorbed(id_)).tokens == tokens
        counted = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert isinstance(await session.chats.read(id_).result(), HasRead)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"{tokens:,} tokens: {counted / tokens:.1f} bytes of each counted, {most / tokens:.1f} read")
    assert sum(read) == tokens
    assert counted < 8 * tokens
    assert most < 40 * tokens, "a tuple of all tokens takes 8 bytes of each, and 16 of them were there before"
