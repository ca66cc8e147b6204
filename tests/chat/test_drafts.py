"""What was typed and not sent, and what was sent and is called back. Plain functions on a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import branches, drafts, erase, threads
from rwkv_chat.library.drafts import Draft
from tests.chat.books import say

if TYPE_CHECKING:
    import sqlite3

DRAFT = Draft("half a [pasted 30 lines]", (("[pasted 30 lines]", "sentence\n" * 30),), "and then?")


def test_a_draft_per_conversation_and_one_for_the_new_one(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    assert drafts.every(db) == {}
    assert drafts.keep(db, thread, DRAFT)
    assert drafts.keep(db, None, Draft("new"))
    assert drafts.every(db) == {thread: DRAFT, None: Draft("new")}
    drafts.keep(db, thread, Draft("other"))
    drafts.keep(db, None, Draft())
    assert drafts.every(db) == {thread: Draft("other")}


def test_a_conversation_that_is_not_there_has_none(db: sqlite3.Connection) -> None:
    assert not drafts.keep(db, "nowhere", DRAFT)
    assert drafts.keep(db, "nowhere", Draft()), "nothing is kept everywhere"
    assert drafts.every(db) == {}


def test_it_stays_in_the_trash_and_goes_when_it_is_erased(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    drafts.keep(db, thread, DRAFT)
    threads.delete(db, thread)
    assert drafts.every(db) == {thread: DRAFT}
    erase.erase(db, thread)
    assert drafts.every(db) == {}


def test_folded_texts_that_are_damaged_cost_only_themselves(db: sqlite3.Connection) -> None:
    drafts.keep(db, None, DRAFT)
    for damaged in ("{", "[1]", '[["a"]]', "7", "[" * 100_000):
        db.execute("UPDATE drafts SET folded = ?", (damaged,))
        assert drafts.every(db)[None] == Draft(DRAFT.text, (), DRAFT.queued)


def test_what_was_sent_is_called_back_newest_first_and_once(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    say(db, "two", thread)
    say(db, "one", thread)
    _, last = say(db, "  ", thread)
    other, _ = say(db, "elsewhere")
    assert drafts.sent(db, 10) == ("elsewhere", "one", "two")
    assert drafts.sent(db, 2) == ("elsewhere", "one")
    threads.delete(db, other)
    assert drafts.sent(db, 10) == ("one", "two")
    db.execute("INSERT INTO imports (digest, thread) VALUES ('d', ?)", (thread,))
    assert drafts.sent(db, 10) == ()
    branches.fork(db, thread, last)
    assert drafts.sent(db, 10) == (), "nor in a branch of what was imported"
