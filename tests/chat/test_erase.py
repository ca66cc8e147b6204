"""Erased now is gone everywhere: the whole data folder is searched for what was said, as text and as the
token ids that were fed, and before that found in every place that it must be erased from.
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.explain import NOT_FOUND, OK, USAGE
from rwkv_chat.library import backup, erase, nodes, threads
from rwkv_chat.library.database import connect
from rwkv_chat.library.drafts import Draft
from rwkv_chat.library.rows import pack
from rwkv_chat.library.search import Wanted
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from tests.chat.books import reply
from tests.chat.books import say as speak
from tests.chat.real import GREEDY, ask, model_folder, open_real, snapshots, told
from tests.chat.talk import answered, until
from tests.chat.test_private import holding
from tests.chat.test_states import save

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from rwkv_chat.session import Session
    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine

SENTINEL = "Zwetschgenknödel"
SECRET = " ".join([SENTINEL] * 12)
SAMPLED = replace(GREEDY, temperature=1.0)
BOOK = "\n\n".join(f"Chapter {n}. {SECRET} " + "It ran over the hill. " * 90 for n in range(3))


async def needles(session: Session) -> tuple[bytes, bytes]:
    """As UTF-8, and as the ids of the tokens inside it."""
    tokens = (await session.models.speaking()).tokenizer.encode(SECRET)
    return SENTINEL.encode(), pack(tuple(tokens[8:24]))


async def tell_all(session: Session) -> str:
    """A conversation that leaves something wherever one can: branches, thoughts, a reply that was stopped,
    alternatives, an edit, a bookmark, a persona, a pinned state, a draft; the id of it.
    """
    chats, branches = session.chats, session.branches
    thread = (await ask(session, None, SECRET)).thread.id
    await until(lambda: _identified(session))
    await answered(chats.regenerate(thread, SAMPLED))
    await chats.configure(thread, mode="think")
    await ask(session, thread, f"Think of {SECRET}", SAMPLED)
    await chats.configure(thread, mode="none")
    await chats.alternatives(thread, 3, SAMPLED).result()
    await chats.send(thread, "Begin", SAMPLED, begin=SECRET).result()
    first = (await told(session, thread)).nodes[0]
    await session.branches.bookmark(first.id, SENTINEL)
    await (await branches.edit(thread, first.id, f"No: {SECRET}", params=GREEDY)).result()  # pyright: ignore
    await branches.undo(thread)
    stopped = chats.send(thread, f"Long {SECRET}", replace(SAMPLED, max_tokens=5_000, bans=(0,)))
    async for _ in stopped:
        stopped.stop()
    await session.convs.tag([thread], [SENTINEL])
    await session.states.hold(thread, on=True)
    for text in ("first", ""):
        await session.drafts.keep(thread, Draft(text + SECRET, (("[1]", SECRET),), SECRET))
    await session.drafts.keep(thread, Draft(SECRET), first.id)
    return thread


async def _identified(session: Session) -> bool:
    return bool((await session.models.speaking()).info.id)


def copied(paths: Paths) -> None:
    """A copy of each kind, and a state on the way that a crash left a moment ago."""
    for make in (backup.make, backup.make_before_restore, backup.rotate):
        assert make(paths.database, paths.backups)
    (paths.states / "passing").mkdir(exist_ok=True)
    shutil.copy(snapshots(paths.data.parent)[0], paths.states / "passing" / f"{'c' * 32}-0.safetensors")


async def test_nothing_of_it_is_left_anywhere(home: Path, tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(home, model_folder(tmp_path / "model"))
    opened.append(session)
    paths = session.paths
    kept = (await ask(session, None, "What stays?")).thread.id
    thread = await tell_all(session)
    book = (await session.books.add(BOOK, SENTINEL)).thread.id
    await (await session.books.read(book)).result()
    persona = await save(session, thread, SENTINEL)
    await session.drafts.keep(None, Draft(SECRET))  # as a message begins that is sent later
    copied(paths)
    await session.drafts.keep(None, Draft())
    text, tokens = await needles(session)
    everywhere = {path.relative_to(paths.data).parts[0] for path in holding(home, text)}
    assert everywhere >= {"library.sqlite-wal", "backups"}
    assert len(holding(paths.backups, text)) == len(holding(paths.backups, tokens)) == 3
    assert holding(home, tokens)
    before = len(snapshots(home))
    assert before > 10
    assert [each.id for each in await session.convs.made_from(thread)] == [persona.id]

    for each in (thread, book):
        await session.convs.erase(each, with_states=True)
    assert holding(home, text, tokens) == []
    assert await session.states.list() == ()
    await session.close()
    assert holding(home, text, tokens) == []
    of_kept = {each[:32] for each in await _prefixes(session, kept, paths)}
    assert {path.name[:32] for path in snapshots(home)} <= of_kept

    again = await open_real(home, tmp_path / "model" / "tiny.safetensors")
    opened.append(again)
    end = await ask(again, kept, "And now?")
    assert end.usage
    assert (end.usage.source, end.usage.history_tokens) == ("disk", 0), "another's states stay"
    assert (await again.convs.search(Wanted(SENTINEL))).number == 0
    assert (await again.convs.search(Wanted("stays"))).number == 1


async def _prefixes(session: Session, thread: str, paths: Paths) -> list[str]:
    """Every key of the one that stays, those inside its messages too."""
    with closing(connect(paths.database)) as db:
        tip = threads.get(db, thread).tip
        assert tip
        db.execute("CREATE TEMP TABLE gone AS SELECT id FROM nodes")
        return sorted(erase._keys_inside(db))


async def test_personas_stay_unless_they_are_given_up_too(
    home: Path, tmp_path: Path, opened: list[Session]
) -> None:
    session = await open_real(home, model_folder(tmp_path / "model"))
    opened.append(session)
    thread = (await ask(session, None, SECRET)).thread.id
    persona = await save(session, thread, "Cook")
    await session.convs.erase(thread)
    assert [each.id for each in await session.states.list()] == [persona.id]
    begun = await session.states.begin(persona.id)
    end = await ask(session, begun.id, "And now?")
    assert end.usage
    assert end.usage.history_tokens == 0, "its state is there"


# ------------------------------------------------------------------------------- what others need of its tree


@pytest.fixture
def forked(db: sqlite3.Connection) -> tuple[str, str]:
    """`old`: one, two, three; `new` stands at two, goes on with "new"."""
    old, _ = speak(db, "one")
    _, two = speak(db, "two", old)
    speak(db, "three", old)
    db.execute(
        "INSERT INTO threads (id, tree, title, tip) SELECT 'new', tree, 'new', ? FROM threads WHERE id = ?",
        (two, old),
    )
    speak(db, "new", "new")
    return old, "new"


def said(db: sqlite3.Connection) -> list[str]:
    return [row["text"] for row in db.execute("SELECT text FROM nodes ORDER BY rowid")]


def test_what_another_conversation_stands_on_stays_and_the_rest_goes(
    db: sqlite3.Connection, forked: tuple[str, str]
) -> None:
    old, new = forked
    erase.erase(db, old)
    assert said(db) == ["one", "two", "new"]
    erase.erase(db, new)
    assert said(db) == []


def test_one_in_the_trash_keeps_what_it_needs(db: sqlite3.Connection, forked: tuple[str, str]) -> None:
    old, new = forked
    threads.delete(db, old)
    erase.erase(db, new)
    assert said(db) == ["one", "two", "three"]


def test_what_was_undone_goes_with_the_one_that_undid_it(
    db: sqlite3.Connection, forked: tuple[str, str]
) -> None:
    old, _ = forked
    node = db.execute("SELECT id FROM nodes WHERE text = 'two'").fetchone()["id"]
    tip = threads.get(db, old).tip
    db.execute("INSERT INTO steps (thread, kind, before, after) VALUES (?, 'said', ?, ?)", (old, node, tip))
    db.execute("UPDATE threads SET tip = ? WHERE id = ?", (node, old))
    erase.erase(db, old)
    assert said(db) == ["one", "two", "new"]


def test_a_long_conversation_goes_in_a_moment(db: sqlite3.Connection) -> None:
    """5,000 messages in a row, with another conversation at the first."""
    thread, first = speak(db, "0")
    db.execute("INSERT INTO threads (id, tree, tip) SELECT 'new', tree, tip FROM threads")
    db.executemany(
        "INSERT INTO nodes (id, tree, parent, role) SELECT ?, tree, ?, 'user' FROM threads LIMIT 1",
        [(f"n{place}", f"n{place - 1}" if place else first) for place in range(5_000)],
    )
    db.execute("UPDATE threads SET tip = 'n4999' WHERE id = ?", (thread,))
    erase.erase(db, thread)
    assert said(db) == ["0"]


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def library(home: Path) -> Paths:
    """A conversation and a persona that was made from it; in a copy, too."""
    paths = Paths.under(home).make()
    with closing(connect(paths.database)) as db:
        thread, asked = speak(db, SECRET)
        nodes.save_reply(db, thread, reply(asked, "ok", prefix="b" * 64))
        words = json.dumps([{"role": "user", "text": SECRET}], ensure_ascii=False)
        made = "INSERT INTO personas (id, name, messages, origin) SELECT 'p', 'Cook', ?, tree FROM threads"
        db.execute(made, (words,))
    backup.make(paths.database, paths.backups)
    return paths


def test_the_command_names_what_it_leaves(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    aside = library.data / "library-damaged-20200101-000000.sqlite"
    aside.write_bytes(b"?")
    assert cli("convs", "rm", SENTINEL, "--with-states").code == USAGE
    done = cli("convs", "rm", SENTINEL, "--erase", "--yes")
    assert done.code == OK
    assert say("convs.rm.personas.left", names="Cook") in done.err
    assert str(aside) in done.err
    assert cli("convs", "show", SENTINEL, "--deleted").code == NOT_FOUND
    assert [path.parent for path in holding(library.backups, SENTINEL.encode())] == [library.backups]


def test_the_command_takes_what_was_made_from_it_along(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    assert holding(library.data, SENTINEL.encode())
    done = cli("convs", "rm", SENTINEL, "--erase", "--with-states", "--yes")
    assert (done.code, say("convs.rm.personas.gone", names="Cook") in done.err) == (OK, True)
    assert holding(library.data, SENTINEL.encode()) == []
    assert "b" * 64 in engine.forgotten


def test_what_fails_on_the_way_can_be_done_again(
    cli: Cli, engine: FakeEngine, library: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that cannot be changed: the conversation is in the trash, its persona is there."""
    monkeypatch.setattr(backup, "_erase_in", _refuses)
    failed = cli("convs", "rm", SENTINEL, "--erase", "--with-states", "--yes")
    assert failed.code not in (OK, USAGE)
    assert "Traceback" not in failed.err
    monkeypatch.undo()
    monkeypatch.setenv("RWKV_CHAT_HOME", str(library.data.parent))
    monkeypatch.setattr("rwkv_chat.cli.opening.open_session", _opens(engine))
    done = cli("convs", "rm", SENTINEL, "--erase", "--with-states", "--yes", "--deleted")
    assert done.code == OK
    assert holding(library.data, SENTINEL.encode()) == []


def _refuses(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _opens(engine: FakeEngine) -> object:
    from tests.fakes import fake_session

    async def opens(paths: Paths, **_: object) -> Session:
        return await fake_session(paths.data.parent, engine)

    return opens
