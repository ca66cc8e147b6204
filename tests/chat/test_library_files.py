"""The library as a file: migrations, refusals, errors, modes, its thread, backups."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from rwkv_chat.library import adapters, backup, health, index, nodes, search, states, threads
from rwkv_chat.library.database import Library, connect
from rwkv_chat.library.errors import (
    LibraryDamaged,
    LibraryForeign,
    LibraryFull,
    LibraryLocked,
    LibraryReadOnly,
    LibraryTooNew,
    LibraryUnavailable,
)
from rwkv_chat.library.migrations import MIGRATIONS
from tests.chat.books import CODING, say, texts

OLD = ("library_v1.sql", "library_v3.sql", "library_v4.sql", "library_v6.sql")


def write_old(file: Path, name: str) -> None:
    with closing(sqlite3.connect(file)) as old:
        old.executescript((Path(__file__).parent.parent / "data" / name).read_text())


@pytest.mark.parametrize("name", OLD)
def test_a_blank_file_and_every_old_schema_come_to_the_newest(file: Path, name: str) -> None:
    write_old(file, name)
    with closing(connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert texts(db, "t1") == ["What is a state?", "A memory of fixed size."]
        assert nodes.path(db, "n2", CODING)[1].node.tokens == (33, 45)
        say(db, "And then?", "t1")
    blank = file.with_name("blank.sqlite")
    blank.touch()
    with closing(connect(blank)) as db:
        assert health.examine(db).faults == ()


def test_choices_and_thoughts_of_the_third_schema_are_read(file: Path) -> None:
    write_old(file, "library_v3.sql")
    with closing(connect(file)) as db:
        thread = threads.get(db, "t1")
        assert (thread.chosen_template, thread.mode, thread.keep_reasoning) == ("bot", "free", True)
        reply = nodes.get(db, "n2")
        assert (reply.message.reasoning, reply.mode, reply.seed) == ("What do they mean?", "free", 7)
        again = threads.configure(db, "t1", template="", keep_reasoning=False)
        assert (again.chosen_template, again.mode, again.keep_reasoning) == ("", "free", False)
        say(db, "And then?", "t1")


def test_what_the_fourth_schema_could_find_is_found(file: Path) -> None:
    write_old(file, "library_v4.sql")
    with closing(connect(file)) as db:
        assert index.is_sound(db)
        (hit,) = search.find(db, search.Wanted("memory", thread="t1")).hits
        assert (hit.node.id, hit.node.deleted, hit.node.kind, hit.node.fresh) == ("n2", None, "", False)
        assert (threads.get(db, "t1").kind, threads.get(db, "t1").pinned) == ("chat", None)
        assert db.execute("SELECT count(*) FROM imports").fetchone()[0] == 1


def test_personas_and_choices_of_the_sixth_schema_are_read(file: Path) -> None:
    write_old(file, "library_v6.sql")
    with closing(connect(file)) as db:
        thread = threads.get(db, "t1")
        assert (thread.persona, thread.initial, thread.held) == ("p1", "", True)
        assert (thread.adapter, dict(thread.sampling)) == ("", {"temperature": 0.5})
        lived, tuned = states.listed(db)
        assert (lived.id, lived.states[0].tokens, lived.sources) == ("p1", ((33, 34),), ())
        assert (tuned.id, tuned.kind, tuned.states[0].initial, tuned.states[0].adapter) == (
            "p2",
            "tuned",
            "i1",
            "",
        )
        assert [each.id for each in states.made_from(db, "t1")] == ["p1"]
        assert adapters.listed(db) == ()
        say(db, "And then?", "t1")


@pytest.mark.parametrize("name", OLD)
def test_a_migrated_schema_is_the_blank_one(file: Path, name: str) -> None:
    write_old(file, name)
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


def test_a_new_library_may_be_opened_by_many_at_once(file: Path) -> None:
    """Each of them waits for the others' first steps."""
    start = threading.Barrier(6)

    def open_and_say(number: int) -> None:
        start.wait()
        with closing(connect(file)) as db:
            say(db, str(number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_and_say, range(6)))
    with closing(connect(file)) as db:
        assert health.examine(db).messages == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a Unix thing")
def test_a_pipe_in_the_library_s_place_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(LibraryUnavailable, match="not a file"):
        connect(file)
