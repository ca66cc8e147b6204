"""What was typed and not sent, and what was sent and is called back. Plain functions on a connection."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library import branches, copies, drafts, erase, migrations, nodes, threads, trees
from rwkv_chat.library.database import connect
from rwkv_chat.library.drafts import WRITING, Draft, Left
from rwkv_chat.paths import Paths
from rwkv_chat.transcript import ChatMessage, Node, Thread, Tree
from rwkv_chat.windows import Windows
from tests.chat.books import say
from tests.fakes import fake_session

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

DRAFT = Draft("half a [pasted 30 lines]", (("[pasted 30 lines]", "sentence\n" * 30),), "and then?")
MINE, OTHER = "a1", "b2"


def kept(db: sqlite3.Connection, window: str = MINE) -> dict[str | None, Draft]:
    return {each.thread: each.draft for each in drafts.of_window(db, window)}


def keep(db: sqlite3.Connection, thread: str | None, draft: Draft, window: str = MINE) -> bool:
    return drafts.keep(db, window, thread, draft)


def gone(_: str) -> bool:
    return True


# ---------------------------------------------------------------------------------------------------- drafts


def test_a_draft_per_conversation_and_one_for_the_new_one(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    assert kept(db) == {}
    assert keep(db, thread, DRAFT)
    assert keep(db, None, Draft("new"))
    assert kept(db) == {thread: DRAFT, None: Draft("new")}
    keep(db, thread, Draft("other"))
    keep(db, None, Draft())
    assert kept(db) == {thread: Draft("other")}


def test_a_conversation_that_is_not_there_has_none(db: sqlite3.Connection) -> None:
    assert not keep(db, "nowhere", DRAFT)
    assert keep(db, "nowhere", Draft()), "nothing is kept everywhere"
    assert kept(db) == {}


def test_it_stays_in_the_trash_and_goes_when_it_is_erased(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    for window in (MINE, OTHER):
        keep(db, thread, DRAFT, window)
        drafts.keep(db, window, thread, Draft("changed"), "message")
    threads.delete(db, thread)
    assert len(drafts.of_window(db, MINE)) == len(drafts.of_window(db, OTHER)) == 2
    erase.erase(db, thread)
    assert db.execute("SELECT count(*) FROM drafts").fetchone()[0] == 0


def test_folded_texts_that_are_damaged_cost_only_themselves(db: sqlite3.Connection) -> None:
    keep(db, None, DRAFT)
    for damaged in ("{", "[1]", '[["a"]]', "7", "[" * 100_000):
        db.execute("UPDATE drafts SET folded = ?", (damaged,))
        assert kept(db)[None] == Draft(DRAFT.text, (), DRAFT.queued)


def test_half_a_character_does_not_keep_the_rest_from_the_disk(db: sqlite3.Connection) -> None:
    keep(db, None, Draft("a\ud83d", (("[\udc00]", "b\udfff"),), "c\ud800"))
    assert kept(db)[None] == Draft("a\ufffd", (("[\ufffd]", "b\ufffd"),), "c\ufffd")


def test_drafts_of_an_older_library_are_handed_on_and_what_was_imported_is_not_called_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for name in ("migrations", "database"):
            patch.setattr(f"rwkv_chat.library.{name}.MIGRATIONS", migrations.MIGRATIONS[:8])
        with closing(connect(file)) as old:
            mine, _ = say(old, "mine")
            theirs, _ = say(old, "theirs")
            old.execute("INSERT INTO imports (digest, thread) VALUES ('d', ?)", (theirs,))
            old.execute("INSERT INTO drafts (thread, text) VALUES (?, 'half'), (NULL, 'new')", (mine,))
    with closing(connect(file)) as db:
        found = drafts.take_over(db, MINE, Windows(None).gone)
        assert found == (Left(mine, "", Draft("half")), Left(None, "", Draft("new")))
        assert drafts.sent(db, 10) == ("mine",)


# ------------------------------------------------------------------------------------------- several windows


def test_what_one_window_keeps_leaves_the_others_drafts_alone(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    for place in (thread, None):
        keep(db, place, Draft("mine"))
        keep(db, place, Draft("yours"), OTHER)
        keep(db, place, Draft())
    assert kept(db) == {}
    assert kept(db, OTHER) == {thread: Draft("yours"), None: Draft("yours")}


def test_what_a_window_left_that_is_gone_is_handed_on_once(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    keep(db, thread, DRAFT, OTHER)
    drafts.keep(db, OTHER, thread, Draft("a change"), "message")
    keep(db, thread, Draft("mine"))
    assert drafts.take_over(db, MINE, lambda _: False) == (), "a window that is open keeps what it has"
    assert drafts.take_over(db, MINE, gone) == (
        Left(thread, "", DRAFT),
        Left(thread, "message", Draft("a change")),
    )
    for window in (MINE, "third"):
        assert drafts.take_over(db, window, lambda each: each == OTHER) == ()
    assert len(drafts.of_window(db, MINE)) == 3, "all of it is on the disk all the time"
    keep(db, thread, Draft("both"))
    assert kept(db)[thread] == Draft("both")


def test_of_several_windows_the_oldest_comes_first(db: sqlite3.Connection) -> None:
    for window in ("x", "w", "v"):
        keep(db, None, Draft(window), window)
    assert [each.draft.text for each in drafts.take_over(db, MINE, gone)] == ["x", "w", "v"]


def test_what_was_sent_in_the_last_moment_is_no_draft(db: sqlite3.Connection) -> None:
    """The window died between its message and its draft."""
    thread, _ = say(db, "one")
    keep(db, thread, DRAFT, OTHER)
    keep(db, None, Draft("in the new one\n", queued="not sent"), OTHER)
    drafts.keep(db, OTHER, thread, Draft("written"), WRITING)
    say(db, "half a " + "sentence\n" * 29 + "sentence", thread)
    say(db, "in the new one")
    say(db, "written", thread)
    assert drafts.take_over(db, MINE, gone) == (
        Left(thread, "", Draft(queued=DRAFT.queued)),
        Left(None, "", Draft(queued="not sent")),
        Left(thread, WRITING, Draft("written")),
    )


@pytest.mark.parametrize("elsewhere", [True, False], ids=["said elsewhere", "said long before"])
def test_the_same_words_in_another_place_or_time_are_another_message(
    db: sqlite3.Connection, elsewhere: bool
) -> None:
    thread, _ = say(db, "one")
    say(db, "yes", None if elsewhere else thread)
    db.execute("UPDATE nodes SET created = ?", (time.time() - (0 if elsewhere else 60),))
    keep(db, thread, Draft(queued="yes"), OTHER)
    assert [each.draft for each in drafts.take_over(db, MINE, gone)] == [Draft(queued="yes")]


async def test_two_sessions_on_one_folder_keep_apart_until_one_is_gone(tmp_path: Path) -> None:
    one, other = [await fake_session(tmp_path) for _ in range(2)]
    for each in (one, other):
        each.windows = Windows(Paths.under(tmp_path).locks)
        assert await each.drafts.take_over() == ()
    await one.drafts.keep(None, Draft("of the first", queued="it waits"))
    await other.drafts.keep(None, Draft("of the second"))
    assert await other.drafts.take_over() == ()
    assert [each.draft.text for each in await one.drafts.mine()] == ["of the first"]
    await one.close()
    left = Left(None, "", Draft("of the first", queued="it waits"))
    assert await other.drafts.take_over() == (left,)
    assert await other.drafts.take_over() == ()
    await other.close()


# ------------------------------------------------------------------------------------ what was sent before


def test_what_was_sent_is_called_back_newest_first_and_once(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    say(db, "two", thread)
    say(db, "one", thread)
    say(db, "  ", thread)
    other, _ = say(db, "elsewhere")
    assert drafts.sent(db, 10) == ("elsewhere", "one", "two")
    assert drafts.sent(db, 2) == ("elsewhere", "one")
    threads.delete(db, other)
    assert drafts.sent(db, 10) == ("one", "two")


def test_of_an_imported_conversation_what_was_typed_here_is_called_back(db: sqlite3.Connection) -> None:
    """Those are the person's own words; what came from elsewhere may be anybody's."""
    node = Node("n", None, ChatMessage("user", "theirs"))
    imported = Tree(Thread("t", "title", "n"), (node,), (node,))
    thread = trees.add(db, imported)
    _, last = say(db, "mine", thread)
    branches.fork(db, thread, last)
    trees.add(db, imported, mark="again")
    first = threads.get(db, thread).tip
    copies.replace(db, thread, nodes.path(db, first)[0].node.id, "theirs, changed by me")
    assert sorted(drafts.sent(db, 10)) == ["mine", "theirs, changed by me"]
