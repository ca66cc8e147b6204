"""The disk is full, refuses to sync, may not be written, is damaged; the clock goes back: the chat goes on,
or stops with one sentence, and nothing that was committed is lost.

States with a flipped bit are in `test_state_bugs_session.py`, one file's faults in `test_library_files.py`,
`test_settings.py`, `tests/engine/test_store.py` and `tests/engine/test_download_faults.py`.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import DiskFailed
from engine.store import writing
from engine.store.statestore import StateStore
from engine.types import NotSaved
from rwkv_chat.explain import OK, sentence
from rwkv_chat.library import backup, index, threads
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import LibraryFull, LibraryReadOnly
from rwkv_chat.library.search import Wanted
from rwkv_chat.paths import Paths
from rwkv_chat.session.housekeeping import keep_house
from rwkv_chat.settings_file import SettingsFile
from tests.chat import no_sync
from tests.chat.books import say as speak
from tests.chat.books import texts
from tests.chat.real import ask, model_folder, open_real, snapshots
from tests.chat.talk import all_of, answered, begin, failed, said, until
from tests.children import in_child
from tests.engine.test_store import load, snapshot
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rwkv_chat.session import Session
    from tests.chat.command_line import Cli

NOBODY = 65_534


def one_sentence(error: BaseException) -> None:
    """What happened, for a person's eyes."""
    shown = sentence(error)
    assert shown.strip()
    assert "Traceback" not in shown
    assert type(error).__name__ not in shown


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk says no when it is asked whether all is on it."""
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))


# ------------------------------------------------------------------------------------------------ a full disk


async def test_a_full_database_fails_the_turn_and_goes_on_when_there_is_room(
    opened: list[Session], tmp_path: Path
) -> None:
    session = await begin(opened, tmp_path, FakeEngine([" One.", " Two."]))
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    limit = await session.library.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await session.library.run(lambda db: db.execute(f"PRAGMA max_page_count = {limit}"))
    error = await failed(session.chats.send(thread, "long " * 20_000))
    assert isinstance(error, LibraryFull)
    one_sentence(error)
    assert said(await session.chats.open(thread)) == ["a", "One."]
    await session.library.run(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    await answered(session.chats.send(thread, "b"))
    assert said(await session.chats.open(thread)) == ["a", "One.", "b", "Two."]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
async def test_states_that_cannot_be_saved_cost_time_only(
    opened: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The turn says so and is answered; after a restart the same reply comes, from the tokens."""
    model = model_folder(tmp_path / "model")
    sound, broken = [await open_real(tmp_path / name, model) for name in ("sound", "broken")]
    expected = (await ask(sound, None, "one")).thread.id
    await ask(sound, expected, "two")
    monkeypatch.setattr(writing, "write", refusing(number))
    broken.models.start()

    async def identified() -> object:  # before, a state waits in memory for its model's id
        return broken.models.speaker is not None and broken.models.speaker.info.id

    await until(identified)
    turn = broken.chats.send(None, "one")
    told = [each for each in await all_of(turn) if isinstance(each, NotSaved)]
    assert told
    one_sentence(told[0].error)
    assert snapshots(tmp_path / "broken") == []
    await broken.close()
    monkeypatch.undo()
    again = await open_real(tmp_path / "broken", model)
    opened += [sound, again]
    end = await ask(again, turn.thread, "two")
    assert end.usage
    assert end.usage.source == "rebuilt"
    assert len(snapshots(tmp_path / "broken")) > 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_an_export_that_fails_leaves_what_was_there(
    opened: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    session = await begin(opened, tmp_path / "home", FakeEngine([" One."]))
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "talk.md").write_text("mine")
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        await session.convs.export([thread], "markdown", folder / "talk.md")
    one_sentence(caught.value)
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("talk.md", "mine")]


# ------------------------------------------------------------------------------------------------ no sync


def test_settings_that_cannot_be_synced_are_what_they_were(tmp_path: Path, unsynced: None) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("threads = 2\n")
    settings = SettingsFile(file)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        settings.change(threads=3)
    assert file.read_text() == "threads = 2\n"
    assert SettingsFile(file).values.threads == 2
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_a_state_that_cannot_be_synced_is_not_there(tmp_path: Path, unsynced: None) -> None:
    store, one = StateStore(tmp_path / "states", 1_000_000), snapshot(1, 2, 3)
    with pytest.raises(DiskFailed) as caught:
        store.save(one)
    one_sentence(caught.value)
    assert load(store, one) is None
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_a_copy_of_the_library_that_cannot_be_synced_is_none(file: Path, unsynced: None) -> None:
    with closing(connect(file)) as db:
        speak(db, "one")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        backup.make(file, file.parent)
    assert backup.copies(file.parent) == ()


@pytest.mark.skipif(not no_sync.THERE, reason="a system call is refused by Linux's seccomp")
async def test_a_message_that_cannot_be_synced_is_refused_and_nothing_committed_is_lost(
    opened: list[Session], tmp_path: Path
) -> None:
    """SQLite asks the system itself, so that has to refuse. What was written before it did may be there
    in the end: then it is whole.
    """
    try:
        thread, told, shown = in_child(no_sync.talk, tmp_path)
    except OSError as error:
        pytest.skip(f"this system lets nobody refuse its own calls: {error}")
    assert shown == ["a", "One."]
    assert all("I/O" in each and "Traceback" not in each for each in told), told
    session = await begin(opened, tmp_path, FakeEngine([" Two."]))
    there = said(await session.chats.open(thread))
    assert there in (["a", "One."], ["a", "One.", "c"])
    await answered(session.chats.send(thread, "d"))
    assert said(await session.chats.open(thread)) == [*there, "d", "Two."]
    ((sound,),) = await session.library.run(lambda db: db.execute("PRAGMA integrity_check").fetchall())
    assert sound == "ok"


# ---------------------------------------------------------------------------------------------- may not write


@contextmanager
def read_only(home: Path, inside: Path) -> Iterator[None]:
    """Nothing `inside` may be changed. Root may anyway, and is somebody else meanwhile."""
    every = [home, *home.rglob("*")]
    modes = {each: each.stat().st_mode for each in (inside, *inside.rglob("*"))}
    root = os.geteuid() == 0
    if root:
        for each in every:
            os.chown(each, NOBODY, NOBODY)
    for each in modes:
        each.chmod(0o500 if each.is_dir() else 0o400)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for each, mode in modes.items():
            if each.exists():
                each.chmod(mode)


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that others than its owner can come to; pytest's own folders are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="rwkv-chat-"))
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
async def test_a_folder_that_may_not_be_written_says_so_and_loses_nothing(open_home: Path) -> None:
    session = await fake_session(open_home, FakeEngine([" One."]))
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    await session.close()
    with read_only(open_home, open_home), pytest.raises(LibraryReadOnly) as caught:
        await fake_session(open_home)
    one_sentence(caught.value)
    session = await fake_session(open_home)
    assert said(await session.chats.open(thread)) == ["a", "One."]
    await session.close()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
async def test_states_and_copies_that_may_not_be_written_do_not_stop_the_chat(open_home: Path) -> None:
    paths = Paths.under(open_home).make()
    connect(paths.database).close()
    store = StateStore(paths.states, 1_000_000)
    with read_only(open_home, paths.states), pytest.raises(DiskFailed) as caught:
        store.save(snapshot(1, 2, 3))
    one_sentence(caught.value)
    session = await fake_session(open_home, FakeEngine([" One."]))
    with read_only(open_home, paths.backups):
        await keep_house(session.library, FakeEngine(), paths, settle=0)
    await answered(session.chats.send(None, "a"))
    await session.close()


# ------------------------------------------------------------------------------------------------ the clock


@pytest.fixture
def back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever somebody looks at the clock, it is an hour earlier."""
    at = [2e9]

    def earlier() -> float:
        at[0] -= 3_600.0
        return at[0]

    monkeypatch.setattr("time.time", earlier)


async def test_a_clock_that_goes_back_loses_and_mixes_up_nothing(
    opened: list[Session], tmp_path: Path, back: None
) -> None:
    session = await begin(opened, tmp_path, FakeEngine([f" Reply {n}." for n in range(12)]))
    thread = (await answered(session.chats.send(None, "say 0"))).thread.id
    for n in range(1, 4):
        await answered(session.chats.send(thread, f"say {n}"))
    expected = [text for n in range(4) for text in (f"say {n}", f"Reply {n}.")]
    assert said(await session.chats.open(thread)) == expected
    await answered(session.chats.regenerate(thread))
    await session.branches.undo(thread)
    assert said(await session.chats.open(thread)) == expected
    await session.branches.redo(thread)
    assert said(await session.chats.open(thread))[-1] == "Reply 4."
    await session.chats.delete(thread)
    assert [each.id for each in await session.chats.deleted()] == [thread]
    await session.chats.restore(thread)
    assert (await session.convs.search(Wanted("say"))).number == 4
    assert await session.library.run(index.is_sound)
    paths = session.paths
    assert len({backup.make(paths.database, paths.backups) for _ in range(3)}) == 3
    await keep_house(session.library, FakeEngine(), paths, settle=0)
    assert [each.id for each in await session.chats.threads()] == [thread], "nothing was thrown away"


def test_a_state_that_was_just_saved_outlives_a_clock_that_went_back(tmp_path: Path) -> None:
    now = [2e9]
    store = StateStore(tmp_path / "states", 1_000_000, clock=lambda: now[0])
    old = [snapshot(n) for n in range(1, 5)]
    sizes = [store.save(each) for each in old]
    now[0] -= 86_400.0
    store.set_budget(sum(sizes) + sizes[0] // 2)
    store.save(new := snapshot(9))
    assert load(store, new) is not None
    assert store.used() <= store.budget


# ------------------------------------------------------------------------------------------------ damage


@pytest.fixture
def long_ago(home: Path) -> Paths:
    """200 messages, and a copy of them."""
    paths = Paths.under(home).make()
    with closing(connect(paths.database)) as db:
        thread, _ = speak(db, "one")
        for place in range(200):
            speak(db, f"{place} " + "word " * 100, thread)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup.make(paths.database, paths.backups)
    return paths


def test_a_damaged_page_is_one_sentence_and_the_copy_has_all_of_it(
    cli: Cli, engine: FakeEngine, long_ago: Paths
) -> None:
    """Wherever the damage is: every command ends, and says what happened where it could not go on."""
    whole = long_ago.database.read_bytes()
    pages = range(1, len(whole) // 4096, 7)
    refused = 0
    for page in pages:
        content = bytearray(whole)
        content[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
        long_ago.database.write_bytes(content)
        for command in (("convs", "list"), ("convs", "show", "one"), ("convs", "search", "word")):
            done = cli(*command)
            assert "Traceback" not in done.err
            assert done.code == OK or done.err.strip()
            refused += done.code != OK
    assert refused > len(pages) // 2
    assert cli("restore", "newest", "--yes").code == OK
    with closing(connect(long_ago.database)) as db:
        (thread,) = threads.alive(db)
        assert len(texts(db, thread.id)) == 201


def test_a_newer_schema_is_one_sentence_and_is_left_alone(
    cli: Cli, engine: FakeEngine, long_ago: Paths
) -> None:
    with closing(connect(long_ago.database)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = long_ago.database.read_bytes()
    for command in (("convs", "list"), ("backup",), ("restore", str(long_ago.database), "--yes")):
        done = cli(*command)
        assert done.code != OK
        assert (bool(done.err.strip()), "Traceback" in done.err) == (True, False)
    assert long_ago.database.read_bytes() == before
