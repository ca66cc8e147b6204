"""Copies of the library, and going back to one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library import backup, health, restore
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import (
    CopyDamaged,
    LibraryForeign,
    LibraryLocked,
    LibraryTooNew,
    LibraryUnavailable,
)
from tests.chat.books import say, texts
from tests.chat.test_library_files import write_old

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backups"
    made.mkdir()
    return made


def spoken(file: Path, *said: str, thread: str | None = None) -> str:
    """A library where that was said in one conversation; its id."""
    with closing(connect(file)) as db:
        for text in said:
            thread, _ = say(db, text, thread)
    assert thread
    return thread


def heard(file: Path, thread: str) -> list[str]:
    with closing(connect(file)) as db:
        return texts(db, thread)


def test_what_was_copied_comes_back_and_what_was_there_is_kept(file: Path, folder: Path) -> None:
    thread = spoken(file, "one", "two")
    copy = backup.make(file, folder)
    spoken(file, "three", thread=thread)
    done = restore.restore(file, copy, folder)
    assert heard(file, thread) == ["one", "two"]
    assert (done.health.messages, done.health.faults, done.aside) == (2, (), None)
    assert done.before is not None
    again = restore.restore(file, done.before, folder)
    assert heard(file, thread) == ["one", "two", "three"]
    assert again.before != done.before


def test_an_open_window_goes_on_with_what_is_restored(file: Path, folder: Path) -> None:
    thread = spoken(file, "one")
    copy = backup.make(file, folder)
    with closing(connect(file)) as window:
        say(window, "two", thread)
        restore.restore(file, copy, folder)
        assert texts(window, thread) == ["one"]
        say(window, "other", thread)
    assert heard(file, thread) == ["one", "other"]


def test_a_library_that_is_none_any_more_is_put_aside(file: Path, folder: Path) -> None:
    thread = spoken(file, "one")
    copy = backup.make(file, folder)
    file.write_bytes(b"\xa5" * 9000)
    done = restore.restore(file, copy, folder)
    assert heard(file, thread) == ["one"]
    assert done.before is None
    assert done.aside is not None
    assert done.aside.read_bytes() == b"\xa5" * 9000


def test_libraries_that_are_put_aside_within_a_second_are_all_kept(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(file, "one")
    copy = backup.make(file, folder)
    monkeypatch.setattr("rwkv_chat.library.restore.time.strftime", lambda *_: "20260101-000000")
    for byte in (b"a", b"b", b"c"):
        file.write_bytes(byte * 9000)
        restore.restore(file, copy, folder)
    assert [each.read_bytes()[:1] for each in restore.asides(file)] == [b"b", b"c", b"a"]


def test_a_library_that_is_missing_is_made(file: Path, folder: Path) -> None:
    thread = spoken(file, "one")
    copy = backup.make(file, folder)
    file.unlink()
    assert restore.restore(file, copy, folder).before is None
    assert heard(file, thread) == ["one"]


def test_an_old_copy_comes_to_todays_schema(file: Path, folder: Path) -> None:
    old = folder / "old.sqlite"
    write_old(old, "library_v1.sql")
    with closing(sqlite3.connect(old)) as db:
        db.execute("PRAGMA application_id = 0x52574B56")
    assert restore.restore(file, old, folder).health.schema == health.look(file).known
    assert heard(file, "t1") == ["What is a state?", "A memory of fixed size."]


def test_what_is_no_sound_copy_is_refused_and_nothing_changes(file: Path, folder: Path) -> None:
    thread = spoken(file, "one")
    copy = backup.make(file, folder)
    damaged, newer, foreign, busy = (
        folder / f"{each}.bin" for each in ("damaged", "newer", "foreign", "busy")
    )
    content = bytearray(copy.read_bytes())
    content[4096:12288] = b"\xa5" * 8192
    damaged.write_bytes(content)
    for each in (newer, busy):
        each.write_bytes(copy.read_bytes())
    with closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA user_version = 99")
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TABLE things (x)")
    with closing(sqlite3.connect(busy)) as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON nodes BEGIN DELETE FROM threads; END")
    os.mkfifo(folder / "pipe")
    refused = {
        damaged: CopyDamaged,
        newer: LibraryTooNew,
        foreign: LibraryForeign,
        busy: LibraryForeign,
        folder / "pipe": LibraryUnavailable,
        folder / "missing": LibraryUnavailable,
    }
    for each, error in refused.items():
        with pytest.raises(error):
            restore.restore(file, each, folder)
    assert heard(file, thread) == ["one"]
    assert backup.backups(folder, "before-restore") == ()


def test_a_writer_who_does_not_stop_is_not_waited_for_without_end(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = spoken(file, "one")
    copy = backup.make(file, folder)
    monkeypatch.setattr(restore, "BUSY_SECONDS", 0.2)
    with closing(connect(file)) as window:
        window.execute("BEGIN IMMEDIATE")
        with pytest.raises(LibraryLocked):
            restore.restore(file, copy, folder)
        window.execute("ROLLBACK")
    assert heard(file, thread) == ["one"]


def test_copies_of_each_kind_are_few(file: Path, folder: Path) -> None:
    spoken(file, "one")
    for day in range(5):
        backup.make(file, folder, now=day * backup.DAY)
        backup.make_before_restore(file, folder, now=day * backup.DAY + 3)
    assert len(backup.backups(folder, "asked")) == len(backup.backups(folder, "before-restore")) == 3
    assert next(each.name for each in backup.copies(folder)) == "before-restore-19700105-000003.sqlite"


def test_no_copy_takes_the_place_of_another_and_a_clock_set_back_drops_none_that_is_new(
    file: Path, folder: Path
) -> None:
    spoken(file, "one")
    assert len({backup.make(file, folder, now=backup.DAY) for _ in range(3)}) == 3
    assert backup.make(file, folder, now=0.0).exists()
    made = backup.rotate(file, folder)
    assert made
    os.utime(made, (4e9, 4e9))
    assert backup.rotate(file, folder) not in (None, made)


KILLED = """
import sys, pathlib
from rwkv_chat.library import restore
print("ready", flush=True)
sys.stdin.readline()
file, copy, folder = map(pathlib.Path, sys.argv[1:])
while True:
    restore.restore(file, copy, folder)
"""


def test_killed_anywhere_the_library_is_one_or_the_other(file: Path, folder: Path, sample: Sample) -> None:
    """The copy has 300 messages, the library 1: after a kill it has 300 or 1, and is sound."""
    thread = spoken(file, "one", *(f"{each} " + "word " * 200 for each in range(299)))
    copy = backup.make(file, folder)
    for place in range(sample("kills while a copy is restored", 3, 40)):
        with closing(connect(file)) as db:
            db.execute("DELETE FROM node_tokens")
            db.execute("UPDATE threads SET tip = (SELECT id FROM nodes WHERE parent IS NULL)")
            db.execute("DELETE FROM nodes WHERE parent IS NOT NULL")
        command = [sys.executable, "-c", KILLED, str(file), str(copy), str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin
            assert child.stdout
            child.stdout.readline()
            threading.Timer(0.005 + 0.013 * place, child.kill).start()
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.wait()
        assert health.look(file).faults == ()
        assert len(heard(file, thread)) in (1, 300)
