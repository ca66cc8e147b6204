"""The library: order, growth, trash, tolerant reads. Plain functions on a connection."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.prefix import extend
from engine.types import SamplingParams, Usage
from rwkv_chat.library import branches, erase, health, index, nodes, threads
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import (
    NodeMissing,
    ThreadMissing,
)
from rwkv_chat.library.nodes import Coded
from rwkv_chat.library.rows import pack, unpack
from tests.chat.books import CODING, reply, say, texts

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

# -------------------------------------------------------------------------------- writing


def test_messages_hang_on_the_tip(db: sqlite3.Connection) -> None:
    thread, first = say(db, "one")
    nodes.save_reply(db, thread, reply(first, "uno", status="complete"))
    _, second = say(db, "two", thread)
    assert texts(db, thread) == ["one", "uno", "two"]
    assert threads.get(db, thread).tip == second
    assert threads.get(db, thread).title == "one"


def test_a_reply_only_grows(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    for text in ("He", "Hello", "Hel", "Other", ""):
        nodes.save_reply(db, thread, reply(asked, text))
    assert texts(db, thread) == ["one", "Hello"]
    nodes.save_reply(
        db, thread, reply(asked, "Hello.", status="complete", tokens=(1, 2), usage=Usage(seed=4))
    )
    stored = nodes.path(db, threads.get(db, thread).tip, CODING)[-1].node
    assert (stored.message.text, stored.status, stored.tokens) == ("Hello.", "complete", (1, 2))


def test_what_a_longer_reply_may_not_lose(db: sqlite3.Connection) -> None:
    """The same for thinking, and the tokens of a refused write are refused with it."""
    thread, asked = say(db, "one")
    nodes.save_reply(db, thread, reply(asked, "", reasoning="because", tokens=(1, 2, 3)))
    nodes.save_reply(db, thread, reply(asked, "longer", reasoning="be", tokens=(9,)))
    stored = nodes.path(db, threads.get(db, thread).tip, CODING)[-1].node
    assert (stored.message.text, stored.message.reasoning, stored.tokens) == ("", "because", (1, 2, 3))


def test_a_reply_that_another_conversation_went_on_from_grows_on_beside_itself(
    db: sqlite3.Connection,
) -> None:
    """Or the tokens that were read after it would go on from others than it has."""
    thread, asked = say(db, "one")
    nodes.save_reply(db, thread, reply(asked, "as far", id="r", tokens=(1, 2)))
    other = branches.fork(db, thread, "r")
    nodes.append_user(db, other.id, "and?", "")
    nodes.save_tokens(db, CODING, (Coded("r", (1, 2), extend((1, 2))),))
    grown = nodes.save_reply(db, thread, reply(asked, "as far as here", id="r", tokens=(1, 2, 3)))[1]
    assert grown.id != "r"
    done = replace(reply(asked, "as far as here.", tokens=(1, 2, 3, 4)), id=grown.id, status="complete")
    assert nodes.save_reply(db, thread, done)[1].id == grown.id
    assert texts(db, thread) == ["one", "as far as here."]
    assert texts(db, other.id) == ["one", "as far", "and?"]
    assert nodes.path(db, "r", CODING)[-1].node.tokens == (1, 2)
    assert len(nodes.siblings(db, "r")) == 2
    undone = branches.undo(db, thread)
    assert undone is not None
    assert (undone.kind, undone.text, undone.thread.tip) == ("said", "one", None)
    assert index.is_sound(db)


def test_a_reply_that_ends_as_it_was_gone_on_from_stays_one(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    nodes.save_reply(db, thread, reply(asked, "all", id="r", tokens=(1, 2)))
    other = branches.fork(db, thread, "r")
    nodes.append_user(db, other.id, "and?", "")
    nodes.save_tokens(db, CODING, (Coded("r", (1, 2), extend((1, 2))),))
    done = replace(reply(asked, "all", id="r", tokens=(1, 2), prefix=extend((1, 2))), status="complete")
    assert nodes.save_reply(db, thread, done)[1].id == "r"
    assert [each.status for each in nodes.siblings(db, "r")] == ["complete"]


def test_tokens_of_a_reply_that_grows_are_written_by_its_writer_alone(db: sqlite3.Connection) -> None:
    """Whoever read it a moment ago, to answer an aside, knows less of it."""
    thread, asked = say(db, "one")
    nodes.save_reply(db, thread, reply(asked, "as far", id="r", tokens=(1, 2), tail="ar"))
    nodes.save_reply(db, thread, reply(asked, "as far as", id="r", tokens=(1, 2, 3), tail="s"))
    nodes.save_tokens(db, CODING, (Coded("r", (1, 2, 9), extend((1, 2, 9))),))
    stored = nodes.path(db, "r", CODING)[-1]
    assert (stored.node.tokens, stored.tail, stored.node.prefix) == ((1, 2, 3), "s", None)


def test_siblings_share_a_parent_and_the_tip_moves(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    nodes.save_reply(db, thread, reply(asked, "a", id="a"))
    nodes.save_reply(db, thread, reply(asked, "b", id="b"))
    assert texts(db, thread) == ["one", "b"]
    assert [each.id for each in nodes.siblings(db, "a")] == ["a", "b"]


def test_codings_do_not_touch_each_other(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    nodes.save_tokens(db, "world/classic", (Coded(asked, (1, 2), "k1"),))
    nodes.save_tokens(db, "other/classic", (Coded(asked, (7,), "k2"),))
    tip = threads.get(db, thread).tip
    assert nodes.path(db, tip, "world/classic")[0].node.tokens == (1, 2)
    assert nodes.path(db, tip, "other/classic")[0].node.prefix == "k2"
    assert nodes.path(db, tip)[0].node.tokens is None


def test_a_seed_and_params_of_full_width_are_kept(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    whole = reply(asked, "x", seed=2**63 - 1, params=SamplingParams(seed=2**63 - 1))
    assert nodes.save_reply(db, thread, whole)[1].seed == 2**63 - 1


def test_text_survives_byte_for_byte(db: sqlite3.Connection) -> None:
    odd = "a\0b\r\n\u202e🧠 e\u0301\t"
    thread, asked = say(db, odd)
    nodes.save_reply(db, thread, reply(asked, "x\0y"))
    nodes.save_reply(db, thread, reply(asked, "x\0yz"))
    assert texts(db, thread) == [odd, "x\0yz"]


def test_tokens_are_uint32_little_endian() -> None:
    ids = (0, 1, 65_535, 2**32 - 1)
    assert pack((1, 258)) == bytes([1, 0, 0, 0, 2, 1, 0, 0])
    assert unpack(pack(ids)) == ids
    assert unpack(b"123") is None


# -------------------------------------------------------------------------------- trash


def test_delete_and_restore(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    assert threads.delete(db, thread).deleted is not None
    assert threads.alive(db) == ()
    assert [each.id for each in threads.deleted(db)] == [thread]
    assert threads.restore(db, thread).deleted is None
    assert [each.id for each in threads.alive(db)] == [thread]


def test_speaking_in_a_deleted_conversation_brings_it_back(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    threads.delete(db, thread)
    say(db, "two", thread)
    assert [each.id for each in threads.alive(db)] == [thread]


def test_purge_erases_what_nobody_needs_and_names_its_states(db: sqlite3.Connection) -> None:
    old, asked = say(db, "one")
    shared = extend((1,))
    nodes.save_tokens(db, CODING, (Coded(asked, (1,), shared),))
    nodes.save_reply(db, old, reply(asked, "x", tokens=(5, 6), prefix=extend((1, 5, 6))))
    kept, other = say(db, "one")
    nodes.save_tokens(db, CODING, (Coded(other, (1,), shared),))
    deleted = threads.delete(db, old).deleted
    assert deleted is not None
    assert erase.purge(db, now=deleted + 29 * erase.DAY) == ()
    named = {extend((1, 5)), extend((1, 5, 6))}  # states inside a message too
    assert set(erase.purge(db, now=deleted + 31 * erase.DAY)) == named
    assert erase.purge(db, now=deleted + 31 * erase.DAY) == ()
    assert [each.id for each in threads.alive(db)] == [kept]
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == 1
    assert health.examine(db).faults == ()


def test_purge_erases_damaged_keys_and_tokens_too(db: sqlite3.Connection) -> None:
    old, asked = say(db, "one")
    nodes.save_tokens(db, CODING, (Coded(asked, (1,), "no key"),))
    nodes.save_reply(db, old, reply(asked, "x", tokens=(5,), prefix=None))
    db.execute("INSERT INTO node_tokens (node, coding, tokens) VALUES (?, 'odd', X'0102')", (asked,))
    threads.delete(db, old)
    assert set(erase.purge(db, now=1e11)) == {"no key", extend((1,))}
    assert db.execute("SELECT count(*) FROM node_tokens").fetchone()[0] == 0


def test_purge_keeps_a_tree_that_a_fork_still_uses(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    db.execute(
        "INSERT INTO threads (id, tree, title, tip) "
        "SELECT 'fork', tree, 'fork', tip FROM threads WHERE id = ?",
        (thread,),
    )
    threads.delete(db, thread)
    assert erase.purge(db, now=1e11) == ()
    assert [each.id for each in (*threads.alive(db), *threads.deleted(db))] == ["fork"]
    assert nodes.get(db, asked).id == asked
    assert texts(db, "fork") == ["one"]


def test_missing_things_are_typed(db: sqlite3.Connection) -> None:
    with pytest.raises(ThreadMissing):
        threads.get(db, "nobody")
    with pytest.raises(NodeMissing):
        nodes.get(db, "nothing")
    with pytest.raises(ThreadMissing):
        say(db, "x", "nobody")
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == 0


# -------------------------------------------------------------------------------- tolerance


def test_an_odd_field_never_makes_a_conversation_unopenable(file: Path) -> None:
    """A database whose columns allow anything, with NULLs, blobs, numbers and words in the wrong places."""
    with closing(connect(file)) as db:
        thread, asked = say(db, "one")
        nodes.save_reply(db, thread, reply(asked, "two", id="r"))
        _relax(db)
        for column, value in (
            *(("text", None), ("reasoning", b"\xff\xfe"), ("status", "dreaming"), ("role", 7)),
            *(("model", None), ("seed", "no"), ("created", "yesterday"), ("usage", b"{"), ("template", 3)),
        ):
            db.execute(f"UPDATE nodes SET {column} = ? WHERE id = 'r'", (value,))  # noqa: S608
        db.execute("UPDATE node_tokens SET tokens = 'abc', prefix = 5, tail = NULL")
        db.execute("UPDATE threads SET title = NULL, updated = 'never', created = NULL, model = x'00'")
    with closing(connect(file)) as db:
        found = threads.alive(db)
        path = nodes.path(db, found[0].tip, CODING)
    assert [each.id for each in found] == [thread]
    assert [(each.node.message.text, each.node.tokens) for each in path] == [("one", None), ("", None)]
    assert path[1].node.status == "complete"


def _relax(db: sqlite3.Connection) -> None:
    """Rebuild the tables without any constraint, with a column more and a table that nobody knows."""
    db.execute("PRAGMA foreign_keys = OFF")
    for table in ("nodes", "node_tokens", "threads"):
        db.execute(f"CREATE TABLE odd AS SELECT *, 1 AS novelty FROM {table}")  # noqa: S608
        db.execute(f"DROP TABLE {table}")
        db.execute(f"ALTER TABLE odd RENAME TO {table}")
    db.execute("CREATE TABLE later (x)")


def test_a_missing_column_reads_as_its_default(file: Path) -> None:
    with closing(connect(file)) as db:
        thread, _ = say(db, "one")
        db.execute("ALTER TABLE nodes DROP COLUMN reasoning")
        db.execute("ALTER TABLE threads DROP COLUMN model")
    with closing(connect(file)) as db:
        assert texts(db, thread) == ["one"]
        assert threads.alive(db)[0].model == ""


def test_a_loop_of_parents_ends(db: sqlite3.Connection) -> None:
    thread, first = say(db, "one")
    _, second = say(db, "two", thread)
    db.execute("UPDATE nodes SET parent = ? WHERE id = ?", (second, first))
    assert sorted(texts(db, thread)) == ["one", "two"]


def test_a_lost_parent_leaves_the_rest(db: sqlite3.Connection) -> None:
    thread, first = say(db, "one")
    say(db, "two", thread)
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("DELETE FROM nodes WHERE id = ?", (first,))
    assert texts(db, thread) == ["two"]
    assert any("missing row" in fault for fault in health.examine(db).faults)


def test_a_lost_tip_is_the_newest_message_that_is_left(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    say(db, "two", thread)
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("UPDATE threads SET tip = 'nowhere'")
    db.execute("PRAGMA foreign_keys = ON")
    say(db, "three", thread)
    assert texts(db, thread) == ["one", "two", "three"]


def test_a_tip_outside_its_tree_is_still_the_tip(db: sqlite3.Connection) -> None:
    thread, node = say(db, "one")
    db.execute("UPDATE threads SET tree = 'elsewhere'")
    assert nodes.tip(db, thread) == node


def test_a_damaged_byte_hides_nothing_else(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "one")
    say(db, "other")
    db.execute("UPDATE threads SET title = CAST(x'61ff62' AS TEXT) WHERE id = ?", (thread,))
    assert sorted(each.title for each in threads.alive(db)) == ["a\ufffdb", "other"]
