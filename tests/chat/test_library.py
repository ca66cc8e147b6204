"""The library: order, tolerance, migrations, errors. Plain functions on a connection."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from engine.types import SamplingParams, Usage
from rwkv_chat.library import backup, erase, health, nodes, threads
from rwkv_chat.library.database import Library, connect
from rwkv_chat.library.errors import (
    LibraryDamaged,
    LibraryForeign,
    LibraryFull,
    LibraryLocked,
    LibraryReadOnly,
    LibraryTooNew,
    NodeMissing,
    ThreadMissing,
)
from rwkv_chat.library.migrations import MIGRATIONS
from rwkv_chat.library.nodes import Coded, Reply
from rwkv_chat.library.rows import pack, unpack

CODING = "world/classic"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "library.sqlite"


@pytest.fixture
def db(file: Path):
    with closing(connect(file)) as opened:
        yield opened


def say(db: sqlite3.Connection, text: str, thread: str | None = None) -> tuple[str, str]:
    """(thread, node) after a message."""
    name = thread or threads.new_id()
    found, node = nodes.append_user(db, name, text, text, create=thread is None)
    return found.id, node.id


def reply(parent: str, text: str, **more: object) -> Reply:
    values: dict = {
        "id": f"r-{parent}",
        "reasoning": "",
        "status": "growing",
        "coding": CODING,
        "tokens": (1,),
    }
    return Reply(parent=parent, text=text, **{**values, **more})


def texts(db: sqlite3.Connection, thread: str) -> list[str]:
    return [each.node.message.text for each in nodes.path(db, threads.get(db, thread).tip)]


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
    nodes.save_tokens(db, CODING, (Coded(asked, (1,), "shared"),))
    nodes.save_reply(db, old, reply(asked, "x", prefix="only-old"))
    kept, other = say(db, "one")
    nodes.save_tokens(db, CODING, (Coded(other, (1,), "shared"),))
    deleted = threads.delete(db, old).deleted
    assert deleted is not None
    assert erase.purge(db, now=deleted + 29 * erase.DAY) == ()
    assert erase.purge(db, now=deleted + 31 * erase.DAY) == ("only-old",)
    assert erase.purge(db, now=deleted + 31 * erase.DAY) == ()
    assert [each.id for each in threads.alive(db)] == [kept]
    assert db.execute("SELECT count(*) FROM nodes").fetchone()[0] == 1
    assert health.examine(db).faults == ()


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


# -------------------------------------------------------------------------------- opening


def test_a_blank_file_and_the_oldest_schema_come_to_the_newest(file: Path) -> None:
    with closing(sqlite3.connect(file)) as old:
        old.executescript((Path(__file__).parent.parent / "data" / "library_v1.sql").read_text())
    with closing(connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert texts(db, "t1") == ["What is a state?", "A memory of fixed size."]
        assert nodes.path(db, "n2", CODING)[1].node.tokens == (33, 45)
        say(db, "And then?", "t1")
    blank = file.with_name("blank.sqlite")
    blank.touch()
    with closing(connect(blank)) as db:
        assert health.examine(db).faults == ()


def test_a_migrated_schema_is_the_blank_one(file: Path) -> None:
    with closing(sqlite3.connect(file)) as old:
        old.executescript((Path(__file__).parent.parent / "data" / "library_v1.sql").read_text())
    with closing(connect(file)) as migrated, closing(connect(file.with_name("new.sqlite"))) as new:
        assert _columns(migrated) == _columns(new)


def _columns(db: sqlite3.Connection) -> dict[str, list[tuple]]:
    tables = [
        row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    return {each: [tuple(row)[1:] for row in db.execute(f"PRAGMA table_info({each})")] for each in tables}


def test_a_newer_library_is_refused_and_left_alone(file: Path) -> None:
    with closing(connect(file)) as db:
        say(db, "one")
        db.execute("PRAGMA user_version = 99")
    before = file.read_bytes(), sorted(each.name for each in file.parent.iterdir())
    with pytest.raises(LibraryTooNew) as refused:
        connect(file)
    assert (refused.value.found, refused.value.known) == (99, len(MIGRATIONS))
    assert (file.read_bytes(), sorted(each.name for each in file.parent.iterdir())) == before


def test_foreign_and_damaged_files_are_refused_and_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA application_id = 77")
        other.execute("CREATE TABLE things (x)")
        other.commit()
    with pytest.raises(LibraryForeign):
        connect(file)
    for content in (b"hello", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 500):
        file.write_bytes(content)
        with pytest.raises((LibraryDamaged, LibraryForeign)):
            connect(file)
        assert file.read_bytes() == content


def test_a_page_destroyed_in_the_middle_is_found(file: Path) -> None:
    with closing(connect(file)) as db:
        thread, _ = say(db, "one")
        for place in range(200):
            say(db, f"{place} " + "word " * 100, thread)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    content[8 * 4096 : 10 * 4096] = b"\xa5" * 8192
    file.write_bytes(content)
    with closing(connect(file)) as db:
        assert health.examine(db).faults != ()


def test_a_locked_library_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_chat.library.database.BUSY_SECONDS", 0.05)
    with closing(connect(file)) as mine, closing(connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        library = Library(file)
        library._db = mine
        with pytest.raises(LibraryLocked):
            asyncio.run(_append(library))
        other.execute("ROLLBACK")


def test_a_full_disk_says_so_and_loses_nothing(file: Path) -> None:
    with closing(connect(file)) as db:
        thread, _ = say(db, "one")
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        library = Library(file)
        library._db = db
        with pytest.raises(LibraryFull):
            asyncio.run(_append(library))
        assert texts(db, thread) == ["one"]


async def _append(library: Library) -> None:
    await library.run(nodes.append_user, threads.new_id(), "long " * 10_000, "t", create=True)


def test_a_read_only_library_says_so(file: Path) -> None:
    with closing(connect(file)) as db:
        db.execute("PRAGMA query_only = ON")
        library = Library(file)
        library._db = db
        with pytest.raises(LibraryReadOnly):
            asyncio.run(_append(library))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_every_file_is_private(file: Path) -> None:
    old = os.umask(0)
    try:
        with closing(connect(file)) as db:
            say(db, "one")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == {"library.sqlite": 0o600, "library.sqlite-wal": 0o600, "library.sqlite-shm": 0o600}


def test_commits_are_durable_and_concurrent(db: sqlite3.Connection) -> None:
    settings = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]
    assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_two_programs_on_one_library_lose_nothing(file: Path) -> None:
    with closing(connect(file)) as one, closing(connect(file)) as two:
        thread, _ = say(one, "hello")
        say(two, "from two", thread)
        say(one, "from one", thread)
        assert texts(two, thread) == ["hello", "from two", "from one"]


# -------------------------------------------------------------------------------- thread, backups


async def test_the_library_closes_after_what_was_asked(file: Path) -> None:
    library = await Library.open(file)
    waiting = asyncio.ensure_future(library.run(nodes.append_user, "t", "one", "one", create=True))
    await asyncio.sleep(0)
    await library.close()
    await library.close()
    assert (await waiting)[1].message.text == "one"


async def test_cancelling_who_waits_does_not_undo_the_write(file: Path) -> None:
    library = await Library.open(file)
    task = asyncio.ensure_future(library.run(nodes.append_user, "t", "one", "one", create=True))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each.id for each in await library.run(threads.alive)] == ["t"]
    await library.close()


def test_backups_are_daily_and_few(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with closing(connect(file)) as db:
        thread, _ = say(db, "one")
        now = file.stat().st_mtime
        made = [backup.rotate(file, folder, now=now + day * 1.01 * backup.DAY) for day in range(5)]
        again = backup.rotate(file, folder, now=(made[-1] or file).stat().st_mtime + 60)
    assert all(made)
    assert again is None
    assert backup.backups(folder) == tuple(reversed(made))[: backup.KEEP]
    copy = made[-1]
    assert copy is not None
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(connect(copy)) as db:
        assert texts(db, thread) == ["one"]
