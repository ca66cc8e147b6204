"""Many messages are copied a few at a time: what comes out is what copying them all at once gives, nothing of
it is seen before, and others come in between.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library import branches, copies, copying, erase, index, nodes, search, threads, trees, verify
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.library.search import Wanted
from rwkv_chat.session import Committed, HasRead
from tests.chat.books import CODING, texts
from tests.chat.talk import answered, begin, said
from tests.chat.test_tree import found, talk
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from rwkv_chat.library.copying import Copying
    from rwkv_chat.session import Session
    from tests.conftest import Sample

HOUR = 3_600.0


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", 2)


def shape(db: sqlite3.Connection, thread: str) -> list[tuple]:
    """A conversation as it stands, whatever its ids are."""
    path = nodes.path(db, nodes.tip(db, thread), CODING)
    place = {each.node.id: at for at, each in enumerate(path)}
    return [
        (
            *(each.node.message, each.node.tokens, each.node.status, each.node.fresh, each.node.pinned),
            *(each.node.origin is not None, place.get(each.node.parent or "", -1), each.tail),
        )
        for each in path
    ]


def whole(db: sqlite3.Connection, work: Copying) -> None:
    while work.left:
        work = copying.go_on(db, work)
    copying.end(db, work)


def forked(db: sqlite3.Connection) -> tuple[str, list[str]]:
    """A conversation with a pinned message, and another branch."""
    thread, ids = talk(db, "one", "two", "three", "four")
    branches.pin(db, ids[2], True)
    branches.go(db, thread, ids[3])
    talk(db, "five", "six", thread=thread)
    branches.switch(db, thread, ids[4])
    return thread, ids


@pytest.mark.parametrize("place", range(7))
def test_in_parts_and_all_at_once_give_the_same(db: sqlite3.Connection, place: int) -> None:
    parted, ids = forked(db)
    plain, others = forked(db)
    told = copies.replace(db, plain, others[place], "changed")
    work = copying.replacing(db, parted, ids[place], "changed")
    while work.left:
        work = copying.go_on(db, work)
    thread, node = copying.end(db, work)
    assert (node.message, thread.tip) == (told[1].message, work.made[-1])
    assert shape(db, parted) == shape(db, plain)
    assert len(found(db, "changed")) == 2
    again = {"three": place < 4, "re: three": place < 5}
    assert Counter(found(db, "three")) == {text: 2 + 2 * copied for text, copied in again.items()}
    assert index.is_sound(db)
    for each in (parted, plain):
        step = branches.undo(db, each)
        assert step is not None
        assert step.kind == "edited"
    assert texts(db, parted) == texts(db, plain)


def test_memory_begins_anew_the_same_in_parts(db: sqlite3.Connection) -> None:
    parted, ids = forked(db)
    plain, others = forked(db)
    copies.begin_anew(db, plain, [nodes.get(db, each) for each in others[2:7]])
    whole(db, copying.beginning_anew(db, parted, [nodes.get(db, each) for each in ids[2:7]]))
    assert shape(db, parted) == shape(db, plain)
    assert index.is_sound(db)


# ------------------------------------------------------------------------------------------------ on the way


def look(db: sqlite3.Connection, thread: str, ids: list[str]) -> list[object]:
    """All that anybody sees of a conversation."""
    return [
        trees.tree(db, thread),
        [nodes.siblings(db, each) for each in ids],
        [branches.leaf(db, each) for each in ids],
        [
            search.find(db, Wanted(each, deleted=place))
            for each in ("one", "re")
            for place in (False, True, None)
        ],
        threads.alive(db),
    ]


def test_nothing_is_seen_before_the_last_part(db: sqlite3.Connection) -> None:
    thread, ids = forked(db)
    before = look(db, thread, ids)
    work = copying.replacing(db, thread, ids[0], "one again")
    while work.left:
        assert look(db, thread, ids) == before
        assert index.is_sound(db)
        work = copying.go_on(db, work)
    assert look(db, thread, ids) == before
    copying.end(db, work)
    assert look(db, thread, ids) != before
    assert texts(db, thread)[0] == "one again"


def test_what_a_crash_left_is_erased_and_takes_nothing_with_it(db: sqlite3.Connection) -> None:
    thread, ids = forked(db)
    rows = db.execute("SELECT count(*) FROM nodes").fetchone()[0]
    before = look(db, thread, ids)
    copying.go_on(db, copying.replacing(db, thread, ids[2], "cut short"))
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == rows + 3
    erase.purge(db)
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == rows + 3, "it might still go on"
    erase.purge(db, time.time() + HOUR + 1)
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == rows
    assert look(db, thread, ids) == before
    assert index.is_sound(db)
    assert list(verify.check(db)) == []


def test_erasing_a_conversation_erases_what_was_half_made(db: sqlite3.Connection) -> None:
    thread, ids = forked(db)
    other = branches.fork(db, thread, ids[1])
    copying.go_on(db, copying.replacing(db, thread, ids[2], "cut short"))
    erase.erase(db, thread)
    assert texts(db, other.id) == ["one", "re: one"]
    left = [row["text"] for row in db.execute("SELECT text FROM nodes")]
    assert left == ["one", "re: one"]
    assert index.is_sound(db)


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_what_is_erased_meanwhile_is_not_gone_on_with(db: sqlite3.Connection, parts: int) -> None:
    thread, ids = forked(db)
    work = copying.replacing(db, thread, ids[0], "one again")
    for _ in range(parts):
        work = copying.go_on(db, work)
    erase.erase(db, thread)
    with pytest.raises(LibraryError):
        whole(db, work)
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == 0
    assert index.is_sound(db)


def test_an_index_that_is_made_anew_on_the_way_has_all_in_the_end(db: sqlite3.Connection) -> None:
    thread, ids = forked(db)
    work = copying.go_on(db, copying.replacing(db, thread, ids[0], "one again"))
    index.rebuild(db)
    assert index.is_sound(db)
    whole(db, work)
    assert index.is_sound(db)
    assert found(db, "again") == ["one again"]


def test_messages_of_one_moment_are_found_in_their_order(db: sqlite3.Connection) -> None:
    """No free place is looked for again and again: that took longer with every message."""
    _, ids = talk(db, *(f"same {number}" for number in range(30)))
    db.execute("UPDATE nodes SET created = 5.0")
    index.rebuild(db)
    assert index.is_sound(db)
    hits = search.find(db, Wanted("same", role="user", limit=100)).hits
    assert [each.node.id for each in hits] == ids[::-1][1::2]
    assert [each.place for each in hits] == list(range(5058, 4999, -2))


KILLED = """
import itertools, pathlib, sys
from rwkv_chat.library import copying, nodes
from rwkv_chat.library.database import connect
db, thread = connect(pathlib.Path(sys.argv[1])), sys.argv[2]
copying.AT_ONCE = 2
print("ready", flush=True)
sys.stdin.readline()
for number in itertools.count():
    first = nodes.path(db, nodes.tip(db, thread))[0].node.id
    work = copying.replacing(db, thread, first, f"changed {number}")
    while work.left:
        work = copying.go_on(db, work)
    copying.end(db, work)
"""


def test_killed_anywhere_the_branch_is_whole_or_not_there(file: Path, sample: Sample) -> None:
    """And what is there of one that is not goes in the end."""
    with closing(connect(file)) as db:
        thread, _ = talk(db, *(f"number {each}" for each in range(10)))
    half_made = 0
    for place in range(sample("kills while messages are copied", 2, 60)):
        command = [sys.executable, "-c", KILLED, str(file), thread]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin
            assert child.stdout
            child.stdout.readline()
            threading.Timer(0.02 + 0.007 * place, child.kill).start()
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.wait()
        with closing(connect(file)) as db:
            half_made += _is_whole(db, thread)
    print(f"\n{half_made} branches were cut short")


def _is_whole(db: sqlite3.Connection, thread: str) -> bool:
    """Whether there was half a branch too; it is erased."""
    first, *others = texts(db, thread)
    assert first.split()[0] in ("number", "changed")
    assert others == [f"{said}number {each}" for each in range(10) for said in ("", "re: ")][1:]
    assert index.is_sound(db)
    assert list(verify.check(db)) == []
    shown = trees.tree(db, thread)
    hidden = db.execute("SELECT count(*) FROM search_docs WHERE tree = ''").fetchone()[0]
    erase.purge(db, time.time() + 2 * HOUR)
    assert db.execute("SELECT count(*) FROM search_docs WHERE tree = ''").fetchone()[0] == 0
    assert trees.tree(db, thread) == shown
    return hidden > 0


# ------------------------------------------------------------------------------------------------ the session


async def long_chat(
    opened: list[Session], home: Path, turns: int, feed_delay: float = 0.0
) -> tuple[Session, str]:
    session = await begin(opened, home, FakeEngine([" Yes."], feed_delay=feed_delay))
    thread, _ = await session.library.run(lambda db: talk(db, *(f"number {each}" for each in range(turns))))
    return session, thread


async def test_others_come_to_the_library_between_the_parts(opened: list, tmp_path: Path) -> None:
    session, thread = await long_chat(opened, tmp_path, 20)
    (first, *_) = (await session.chats.open(thread)).nodes
    reading = await session.branches.edit(thread, first.id, "number 1000", keep_following=True)
    between = 0

    async def look_on() -> None:
        nonlocal between
        while True:
            await session.library.run(threads.alive)
            between += 1

    looking = asyncio.ensure_future(look_on())
    async for event in reading:  # pyright: ignore[reportGeneralTypeIssues]  a reading: something follows
        if isinstance(event, Committed):
            break
    looking.cancel()
    assert between >= 10
    assert said(await session.chats.open(thread))[:3] == ["number 1000", "re: number 0", "number 1"]


async def test_what_is_said_meanwhile_stands_after_the_copies(opened: list, tmp_path: Path) -> None:
    session, thread = await long_chat(opened, tmp_path, 5)
    (first, *_) = (await session.chats.open(thread)).nodes
    reading = await session.branches.edit(thread, first.id, "changed", keep_following=True)
    await answered(session.chats.send(thread, "and now?"))
    assert isinstance(await reading.result(), HasRead)
    shown = said(await session.chats.open(thread))
    assert (shown[0], len(shown), shown[-2:]) == ("changed", 12, ["and now?", "Yes."])


@pytest.mark.parametrize("way", ["undo", "delete", "close"])
async def test_what_is_done_meanwhile_comes_after_it(opened: list, tmp_path: Path, way: str) -> None:
    session, thread = await long_chat(opened, tmp_path, 5)
    (first, *_) = (await session.chats.open(thread)).nodes
    await session.branches.edit(thread, first.id, "changed", keep_following=True)
    done: dict[str, Callable] = {
        "undo": lambda: session.branches.undo(thread),
        "delete": lambda: session.chats.delete(thread),
        "close": session.close,
    }
    await done[way]()
    again = await begin(opened, tmp_path) if way == "close" else session
    shown = said(await again.chats.open(thread))
    assert (shown[0], len(shown)) == ("number 0" if way == "undo" else "changed", 10)
    assert (await again.chats.threads() == ()) == (way == "delete")


async def test_two_changes_of_one_conversation_follow_each_other(opened: list, tmp_path: Path) -> None:
    session, thread = await long_chat(opened, tmp_path, 4)
    first, *_ = (await session.chats.open(thread)).nodes
    one = await session.branches.edit(thread, first.id, "first", keep_following=True)
    two = session.branches.refresh(thread, 4)
    await one.result()
    assert isinstance(await two.result(), HasRead)
    shown = (await session.chats.open(thread)).nodes
    assert [each.message.text for each in shown[:1] + shown[8:9]] == ["first", "first"]
    assert [each.fresh for each in shown] == [False] * 8 + [True] + [False] * 7


async def test_nobody_waits_long_for_thousands_of_copies(
    opened: list, tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", 100)
    turns = sample("messages of a person that follow an edit", 150, 2_500)
    session, thread = await long_chat(opened, tmp_path, turns)
    node = (await session.library.run(nodes.path, await session.library.run(nodes.tip, thread)))[0].node
    begun = time.perf_counter()
    reading = await session.branches.edit(thread, node.id, "changed", keep_following=True)
    waits: list[float] = []

    async def look_on() -> None:
        while True:
            asked = time.perf_counter()
            await session.library.run(threads.get, thread)
            waits.append(time.perf_counter() - asked)

    looking = asyncio.ensure_future(look_on())
    async for event in reading:  # pyright: ignore[reportGeneralTypeIssues]  a reading: something follows
        if isinstance(event, Committed):
            break
    looking.cancel()
    took = time.perf_counter() - begun
    print(f"\n{2 * turns} messages in {took:.2f} s, the longest wait of others {max(waits) * 1000:.0f} ms")
    assert len((await session.chats.open(thread)).nodes) == 2 * turns
    if turns > 1_000:  # a few parts say nothing of the longest
        assert max(waits) < took / 4
