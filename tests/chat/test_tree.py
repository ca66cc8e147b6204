"""The tree in the library: moving, deleting, undoing, copies; nothing here computes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.exporters import json_tree as export
from rwkv_chat.exporters import rwkv_jsonl
from rwkv_chat.importers import json_tree
from rwkv_chat.library import (
    branches,
    copies,
    erase,
    index,
    nodes,
    readings,
    search,
    steps,
    threads,
    trees,
    writings,
)
from rwkv_chat.library.errors import NodeMissing, ThreadMissing
from rwkv_chat.library.search import Wanted
from tests.chat.books import CODING, reply, say, texts

if TYPE_CHECKING:
    import sqlite3

DAYS = 86_400.0


def talk(db: sqlite3.Connection, *turns: str, thread: str | None = None) -> tuple[str, list[str]]:
    """A conversation of these messages and replies to them ("re: …"); every message's id."""
    ids = []
    for text in turns:
        thread, asked = say(db, text, thread)
        tokens = tuple(range(len(ids) + 1))
        key = asked + asked
        answer = reply(asked, f"re: {text}", status="complete", prefix=key, tokens=tokens)
        nodes.save_reply(db, thread, answer)
        ids += [asked, answer.id]
    assert thread is not None
    return thread, ids


def again(db: sqlite3.Connection, thread: str, asked: str, text: str) -> str:
    made = reply(asked, text, id=f"again-{text}", status="complete", prefix="1" * 64)
    nodes.save_reply(db, thread, made)
    return made.id


def found(db: sqlite3.Connection, query: str) -> list[str]:
    return [each.node.message.text for each in search.find(db, Wanted(query)).hits]


# ------------------------------------------------------------------------------------------------ moving


def test_going_back_and_switching_between_siblings(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b", "c")
    branches.go(db, thread, ids[1])
    assert texts(db, thread) == ["a", "re: a"]
    _, other = talk(db, "x", "y", thread=thread)
    assert texts(db, thread) == ["a", "re: a", "x", "re: x", "y", "re: y"]
    assert [each.message.text for each in nodes.siblings(db, other[0])] == ["b", "x"]
    branches.switch(db, thread, ids[2])
    assert texts(db, thread) == ["a", "re: a", "b", "re: b", "c", "re: c"]
    branches.switch(db, thread, other[0])
    assert threads.get(db, thread).tip == other[3]


def test_only_places_of_the_own_tree_can_be_gone_to(db: sqlite3.Connection) -> None:
    one, _ = talk(db, "a")
    _, ids = talk(db, "b")
    for work in (branches.go, branches.fork, branches.delete):
        with pytest.raises(NodeMissing):
            work(db, one, ids[0])
        with pytest.raises(ThreadMissing):
            work(db, "nobody", ids[0])
    with pytest.raises(NodeMissing):
        copies.replace(db, one, ids[0], "x")
    assert texts(db, one) == ["a", "re: a"]


def test_a_branch_is_a_conversation_of_its_own(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    threads.configure(db, thread, "bot", "free", True)
    new = branches.fork(db, thread, ids[1])
    assert (new.title, new.branched_from, new.tip) == ("a (2)", thread, ids[1])
    assert (new.chosen_template, new.mode, new.keep_reasoning) == ("bot", "free", True)
    assert branches.fork(db, thread, ids[0], "named").title == "named"
    assert [branches.fork(db, each, ids[0]).title for each in (thread, new.id)] == ["a (3)", "a (4)"]
    threads.rename(db, thread, "Plans (2027)")  # a person's own number is no number of ours
    assert branches.fork(db, thread, ids[0]).title == "Plans (2027) (2)"
    talk(db, "x", thread=new.id)
    assert texts(db, new.id) == ["a", "re: a", "x", "re: x"]
    assert texts(db, thread) == ["a", "re: a", "b", "re: b"]


# ------------------------------------------------------------------------------------------------ deleting


def test_a_deleted_branch_is_hidden_comes_back_and_is_erased_in_the_end(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "alpha", "beta", "gamma")
    told = branches.delete(db, thread, ids[2])
    assert (told.messages, told.kept, told.thread.tip) == (4, 0, ids[1])
    assert texts(db, thread) == ["alpha", "re: alpha"]
    assert found(db, "beta") == []
    assert index.is_sound(db)
    assert [each.message.text for each in trees.tree(db, thread).nodes] == ["alpha", "re: alpha"]
    branches.restore(db, thread, ids[2])
    assert len(found(db, "beta")) == 2
    branches.switch(db, thread, ids[2])
    assert len(texts(db, thread)) == 6
    branches.delete(db, thread, ids[2])
    now = nodes.get(db, ids[2]).deleted or 0.0
    assert erase.purge(db, now + 29 * DAYS) == ()
    assert nodes.get(db, ids[2]).deleted == now
    assert len(erase.purge(db, now + 31 * DAYS)) > 0
    with pytest.raises(NodeMissing):
        nodes.get(db, ids[2])
    assert texts(db, thread) == ["alpha", "re: alpha"]
    assert index.is_sound(db)
    assert branches.undo(db, thread) is not None  # the turn; the branch is gone


def test_a_tip_in_a_deleted_branch_goes_to_a_sibling_first(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    other = again(db, thread, ids[2], "other")
    assert branches.delete(db, thread, other).thread.tip == ids[3]
    assert branches.delete(db, thread, ids[0]).thread.tip is None
    assert texts(db, thread) == []
    assert nodes.tip(db, thread) is None
    branches.undo(db, thread)
    assert texts(db, thread) == ["a", "re: a", "b", "re: b"]


def test_what_another_conversation_stands_on_stays(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b", "c")
    other = branches.fork(db, thread, ids[3])
    told = branches.delete(db, thread, ids[2])
    assert (told.messages, told.kept) == (2, 2)
    assert texts(db, other.id) == ["a", "re: a", "b", "re: b"]
    assert texts(db, thread) == ["a", "re: a"]
    threads.delete(db, other.id)
    erase.purge(db, (nodes.get(db, ids[4]).deleted or 0.0) + 31 * DAYS)
    assert [each.message.text for each in trees.tree(db, thread).nodes] == ["a", "re: a", "b", "re: b"]
    assert index.is_sound(db)


def test_whoever_goes_on_in_a_deleted_branch_brings_it_back(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "alpha", "beta")
    branches.delete(db, thread, ids[2])
    late = reply(ids[2], "late", id="late")
    nodes.save_reply(db, thread, late)  # another program was still writing it
    assert texts(db, thread) == ["alpha", "re: alpha", "beta", "late"]
    assert found(db, "beta") == ["beta"]
    assert nodes.get(db, ids[3]).deleted is not None
    assert index.is_sound(db)


# ------------------------------------------------------------------------------------------------ undoing


def test_turns_are_taken_back_and_done_again(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    step = branches.undo(db, thread)
    assert step is not None
    assert (step.kind, step.text, step.thread.tip) == ("said", "b", ids[1])
    step = branches.undo(db, thread)
    assert step is not None
    assert (step.text, step.thread.tip) == ("a", None)
    assert branches.undo(db, thread) is None
    for tip in (ids[1], ids[3]):
        step = branches.redo(db, thread)
        assert step is not None
        assert step.thread.tip == tip
    assert branches.redo(db, thread) is None


def test_what_is_new_ends_what_could_be_done_again(db: sqlite3.Connection) -> None:
    thread, _ = talk(db, "a", "b")
    branches.undo(db, thread)
    talk(db, "x", thread=thread)
    assert branches.redo(db, thread) is None
    branches.undo(db, thread)
    assert texts(db, thread) == ["a", "re: a"]


def test_every_kind_of_step_is_taken_back(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    whole = texts(db, thread)
    done = (
        lambda: branches.go(db, thread, ids[0]),
        lambda: branches.delete(db, thread, ids[2]),
        lambda: copies.edit(db, thread, ids[0], "A"),
        lambda: copies.replace(db, thread, ids[0], "A"),
        lambda: copies.begin_anew(db, thread, (nodes.get(db, ids[2]),)),
        lambda: again(db, thread, ids[2], "other"),
    )
    for work in done:
        work()
        changed = texts(db, thread)
        assert changed != whole
        assert branches.undo(db, thread) is not None
        assert texts(db, thread) == whole
        assert branches.redo(db, thread) is not None
        assert texts(db, thread) == changed
        branches.undo(db, thread)
    assert index.is_sound(db)


def test_only_what_a_person_wrote_comes_back_with_an_edit(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    for work, said in (
        (lambda: copies.edit(db, thread, ids[0], "A"), "A"),
        (lambda: copies.replace(db, thread, ids[0], "A"), "A"),
        (lambda: copies.edit(db, thread, ids[3], "another reply"), ""),
        (lambda: copies.replace(db, thread, ids[1], "another reply"), ""),
    ):
        work()
        step = branches.undo(db, thread)
        assert step is not None
        assert (step.kind, step.text) == ("edited", said)


def test_conversations_older_than_the_steps_are_taken_back_turn_by_turn(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b", "c")
    db.execute("DELETE FROM steps")
    for tip, text in ((ids[3], "c"), (ids[1], "b")):
        step = branches.undo(db, thread)
        assert step is not None
        assert (step.thread.tip, step.text) == (tip, text)
    for tip in (ids[3], ids[5]):
        step = branches.redo(db, thread)
        assert step is not None
        assert step.thread.tip == tip
    for tip in (ids[3], ids[1], None):
        step = branches.undo(db, thread)
        assert step is not None
        assert step.thread.tip == tip


def test_a_system_message_outlives_the_first_turn(db: sqlite3.Connection) -> None:
    thread, _ = nodes.append_user(db, "t", "a", "a", create=True, system="Be kind")
    branches.undo(db, thread.id)
    assert texts(db, thread.id) == ["Be kind"]


def test_steps_from_what_was_erased_are_passed_over(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a")
    steps.record(db, thread, "moved", "gone", ids[1])
    step = branches.undo(db, thread)
    assert step is not None
    assert (step.kind, step.text, texts(db, thread)) == ("said", "a", [])


# ------------------------------------------------------------------------------------------------ marks


def test_bookmarks_and_pins(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    assert branches.bookmark(db, ids[3], "here").bookmark == "here"
    assert branches.bookmark(db, ids[0], "").bookmark == ""
    assert [each.id for each in branches.bookmarks(db, thread)] == [ids[0], ids[3]]
    assert branches.bookmark(db, ids[3], None).bookmark is None
    assert branches.pin(db, ids[0], True).pinned
    branches.delete(db, thread, ids[0])
    assert branches.bookmarks(db, thread) == ()
    with pytest.raises(NodeMissing):
        branches.pin(db, "nobody", True)


# ------------------------------------------------------------------------------------------------ copies


def test_copies_keep_what_was_fed_unless_they_stand_elsewhere(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    nodes.save_tokens(db, CODING, (nodes.Coded(ids[0], (7,), "2" * 64), nodes.Coded(ids[2], (8,), "3" * 64)))
    copies.replace(db, thread, ids[0], "A")
    told = [
        (each.node.message.text, each.node.tokens) for each in nodes.path(db, nodes.tip(db, thread), CODING)
    ]
    assert told == [("A", None), ("re: a", (0,)), ("b", (8,)), ("re: b", (0, 1, 2))]
    sources = tuple(nodes.get(db, each) for each in ids[2:])
    copies.begin_anew(db, thread, sources)
    path = nodes.path(db, nodes.tip(db, thread), CODING)
    assert [each.node.tokens for each in path[4:]] == [None, (0, 1, 2)]
    assert [each.node.fresh for each in path] == [False] * 4 + [True, False]
    assert nodes.memory(db, nodes.tip(db, thread), CODING) == path[4:]
    assert [each.node.origin for each in path[4:]] == ids[2:]


# ------------------------------------------------------------------------------------------------ texts


def test_a_text_is_what_was_typed_and_what_was_written(db: sqlite3.Connection) -> None:
    thread = threads.create(db, kind="text").id
    _, first = writings.write(db, thread, "Once", " end")
    nodes.save_reply(db, thread, reply(first.id, " upon"))
    assert writings.read(db, thread) == writings.Writing(threads.get(db, thread), "Once upon", " end")
    _, same = writings.write(db, thread, "Once upon", " end")
    assert same.message.text == " upon"
    _, more = writings.write(db, thread, "Once upon a", " end")
    assert (more.parent, more.message.text) == (same.id, " a")
    _, inside = writings.write(db, thread, "Once up", "")
    assert (inside.parent, inside.message.text) == (first.id, " up")
    _, other = writings.write(db, thread, "Twice")
    assert (other.parent, other.message.text) == (None, "Twice")
    _, back = writings.write(db, thread, "Twice", "!")
    assert (back.parent, back.message.text, back.rest) == (other.id, "", "!")
    for before, after in (("Twice", ""), ("Once up", ""), ("Once upon a", " end"), ("Once upon", " end")):
        branches.undo(db, thread)
        now = writings.read(db, thread)
        assert (now.before, now.after) == (before, after)


# ------------------------------------------------------------------------------------------------ exports


def test_a_tree_comes_back_from_its_export_as_it_was(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    again(db, thread, ids[2], "other")
    branches.bookmark(db, ids[1], "here")
    branches.pin(db, ids[0], True)
    copies.begin_anew(db, thread, (nodes.get(db, ids[2]), nodes.get(db, ids[3])))
    branches.delete(db, thread, ids[3])
    told = trees.tree(db, thread)
    (back,) = json_tree.parse("".join(export.write((told,))).encode())
    new = trees.tree(db, trees.add(db, back))
    marks = [(each.message, each.bookmark, each.pinned, each.fresh) for each in told.nodes]
    assert [(each.message, each.bookmark, each.pinned, each.fresh) for each in new.nodes] == marks
    assert [each.message for each in new.path] == [each.message for each in told.path]
    assert sum(each.fresh for each in new.nodes) == 1


def test_a_text_and_a_book_come_back_too(db: sqlite3.Connection) -> None:
    text = threads.create(db, kind="text").id
    writings.write(db, text, "Once", " end")
    book = readings.create(db, "Book", "", "digest").id
    readings.append(db, book, ("One. ", "Two."))
    for thread in (text, book):
        told = trees.tree(db, thread)
        (back,) = json_tree.parse("".join(export.write((told,))).encode())
        new = trees.tree(db, trees.add(db, back))
        assert [(each.message, each.kind, each.rest) for each in new.path] == [
            (each.message, each.kind, each.rest) for each in told.path
        ]
    assert threads.get(db, new.thread.id).kind == "chat"
    assert '{"text": "One. Two."}\n' in "".join(rwkv_jsonl.write((told,)))


def test_what_is_exported_for_training_is_what_was_known(db: sqlite3.Connection) -> None:
    thread, ids = talk(db, "a", "b")
    copies.begin_anew(db, thread, tuple(nodes.get(db, each) for each in ids[2:]))
    assert "".join(rwkv_jsonl.write((trees.tree(db, thread),))) == (
        '{"text": "User: b\\n\\nAssistant: re: b"}\n'
    )
