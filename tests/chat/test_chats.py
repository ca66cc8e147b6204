"""Keeping conversations: names, trash, two programs, sampling."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.chat.talk import LONG, answered, begin, said, until_shown
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path


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
