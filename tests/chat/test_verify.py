"""Tokens, keys and saved states held against each other; what can be repaired is."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.prefix import EMPTY, extend
from engine.store.check import check_all
from engine.store.statestore import StateStore
from rwkv_chat.library import verify
from rwkv_chat.library.database import connect
from rwkv_chat.library.rows import pack
from rwkv_chat.paths import Paths
from tests.chat.books import say
from tests.engine.test_store import snapshot

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chat.command_line import Cli

CODING = "t/chat"


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(file)) as opened:
        yield opened


@pytest.fixture
def said(db: sqlite3.Connection) -> list[str]:
    """Five messages in a row, each with tokens and key, and one beside the third."""
    thread, made = None, []
    for place in range(5):
        thread, node = say(db, f"message {place}", thread)
        made.append(node)
    db.execute("UPDATE threads SET tip = ? WHERE id = ?", (made[1], thread))
    made.append(say(db, "beside", thread)[1])
    key = {made[0]: EMPTY}
    for place, name in enumerate(made):
        parent = made[place - 1] if place < 5 else made[1]
        key[name] = extend(tokens(place), key[parent] if place else EMPTY)
        db.execute("DELETE FROM node_tokens WHERE node = ?", (name,))
        db.execute(
            "INSERT INTO node_tokens (node, coding, tokens, prefix) VALUES (?, ?, ?, ?)",
            (name, CODING, pack(tokens(place)), key[name]),
        )
    return made


def tokens(place: int) -> tuple[int, ...]:
    return (place + 1, 100 * place, 7)


def found(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(each.node, each.kind) for each in verify.check(db)]


def change(db: sqlite3.Connection, node: str, tokens: bytes | None = None, prefix: str | None = "-") -> None:
    if tokens is not None:
        db.execute("UPDATE node_tokens SET tokens = ? WHERE node = ?", (tokens, node))
    if prefix != "-":
        db.execute("UPDATE node_tokens SET prefix = ? WHERE node = ?", (prefix, node))


def test_what_is_right_is_left_alone(db: sqlite3.Connection, said: list[str]) -> None:
    count = verify.Count()
    assert list(verify.check(db, count=count)) == []
    assert (count.fit, verify.unread(db)) == (6, 0)


def test_only_keys_that_were_derived_again_count(db: sqlite3.Connection, said: list[str]) -> None:
    """Not those right after messages without tokens, nor of a reply that grows."""
    change(db, said[4], prefix=None)
    db.execute("DELETE FROM node_tokens WHERE node = ?", (said[1],))
    count = verify.Count()
    assert list(verify.check(db, count=count)) == []
    assert (count.fit, verify.unread(db)) == (2, 1)


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("key", ["f" * 64, "nonsense", ""])
def test_a_damaged_key_is_the_only_fault_and_is_derived_again(
    db: sqlite3.Connection, said: list[str], place: int, key: str
) -> None:
    (right,) = db.execute("SELECT prefix FROM node_tokens WHERE node = ?", (said[place],)).fetchone()
    change(db, said[place], prefix=key)
    assert found(db) == [(said[place], "key")]
    for fault in verify.check(db):
        verify.repair(db, fault)
    assert found(db) == []
    assert db.execute("SELECT prefix FROM node_tokens WHERE node = ?", (said[place],)).fetchone()[0] == right


@pytest.mark.parametrize("place", range(4))
def test_damaged_tokens_are_told_by_what_follows_and_given_up(
    db: sqlite3.Connection, said: list[str], place: int
) -> None:
    change(db, said[place], tokens=pack((1, 2, 3, 4)))
    assert found(db) == [(said[place], "tokens")]
    for fault in verify.check(db):
        verify.repair(db, fault)
    assert db.execute("SELECT count(*) FROM node_tokens WHERE node = ?", (said[place],)).fetchone()[0] == 0
    assert found(db) == []


def test_the_last_messages_tokens_are_told_by_its_saved_state(
    db: sqlite3.Connection, said: list[str]
) -> None:
    change(db, said[4], tokens=pack((1, 2, 3, 4)))
    (stored,) = db.execute("SELECT prefix FROM node_tokens WHERE node = ?", (said[4],)).fetchone()
    assert found(db) == [(said[4], "key")]
    assert [each.kind for each in verify.check(db, held=frozenset([stored[:32]]))] == ["tokens"]


def test_a_blob_that_holds_no_ids_is_damage(db: sqlite3.Connection, said: list[str]) -> None:
    change(db, said[4], tokens=b"12345")
    assert found(db) == [(said[4], "tokens")]


def test_where_memory_begins_anew_the_key_does_too(db: sqlite3.Connection, said: list[str]) -> None:
    db.execute("UPDATE nodes SET fresh = 1 WHERE id = ?", (said[4],))
    assert found(db) == [(said[4], "key")]
    change(db, said[4], prefix=extend(tokens(4)))
    assert found(db) == []


def test_a_reply_that_grows_and_one_of_another_coding_are_no_faults(
    db: sqlite3.Connection, said: list[str]
) -> None:
    change(db, said[4], prefix=None)
    db.execute(
        "INSERT INTO node_tokens (node, coding, tokens, prefix) VALUES (?, 'other', ?, ?)",
        (said[3], pack((5,)), "a" * 64),
    )
    assert found(db) == []


def test_messages_that_are_their_own_parents_end_the_look(db: sqlite3.Connection, said: list[str]) -> None:
    db.execute("UPDATE nodes SET parent = ? WHERE id = ?", (said[4], said[1]))
    assert found(db) == []


# ------------------------------------------------------------------------------------------------ the command


def test_what_is_damaged_is_named_then_mended(cli: Cli, home: Path) -> None:
    paths = Paths.find().make()
    fine = cli("verify")
    assert (fine.code, "Everything is as it should be." in fine.out) == (0, True)
    with closing(connect(paths.database)) as db:
        _, node = say(db, "one")
        db.execute("DELETE FROM node_tokens")
        db.execute(
            "INSERT INTO node_tokens (node, coding, tokens, prefix) VALUES (?, ?, ?, ?)",
            (node, CODING, pack((1, 2)), "a" * 64),
        )
        db.execute("DELETE FROM search_docs")
    (paths.states / f"{'0' * 32}-{'1' * 32}.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    named = cli("verify")
    assert (named.code, named.out.count("  mended")) == (1, 0)
    for words in ("its key is not that", "the index does not fit", "damaged (header)", "Faults found: 3"):
        assert words in named.out
    assert "keys that fit their tokens: 0." in named.out
    mended = json.loads(cli("verify", "--repair", "--json").out)
    assert (mended["ok"], sum(each["mended"] for each in mended["found"])) == (True, 3)
    assert len(list(paths.backups.iterdir())) == 1
    assert cli("verify").code == 0


def test_a_damaged_page_is_told_with_the_way_out(cli: Cli, home: Path) -> None:
    paths = Paths.find().make()
    with closing(connect(paths.database)) as db:
        thread, _ = say(db, "one")
        for place in range(200):
            say(db, f"{place} " + "word " * 100, thread)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(paths.database.read_bytes())
    content[8 * 4096 : 10 * 4096] = b"\xa5" * 8192
    paths.database.write_bytes(content)
    said = cli("verify", "--repair")
    assert (said.code, "rwkv-chat restore newest" in said.out) == (1, True)


def test_a_state_with_a_flipped_bit_is_found(tmp_path: Path) -> None:
    store = StateStore(tmp_path, budget_bytes=1 << 30)
    saved = snapshot(1, 2, 3)
    store.save(saved)
    path = store.path(saved.key)
    assert [error for _, error in check_all(tmp_path)] == [None]
    content = bytearray(path.read_bytes())
    for place in (3, 40, len(content) // 2, len(content) - 1):
        content[place] ^= 4
        path.write_bytes(content)
        assert [error is None for _, error in check_all(tmp_path)] == [False]
        content[place] ^= 4
    path.write_bytes(content)
    path.rename(path.with_name("0" * 32 + path.name[32:]))
    ((_, error),) = check_all(tmp_path)
    assert error is not None
    assert "name" in error.reason


def test_a_state_from_outside_that_is_gone_is_named(cli: Cli, home: Path) -> None:
    """A tuned one for good; one with a text can be read again."""
    paths = Paths.find().make()
    said = '[{"role": "user", "text": "one"}]'
    with closing(connect(paths.database)) as db:
        for name, text in (("Tuned", "[]"), ("Scribe", said), ("Here", "[]")):
            db.execute(
                "INSERT INTO initials (id, kind, file) VALUES (?, ?, ?)",
                (name, "tuned", json.dumps([f"{name}.pth"])),
            )
            db.execute("INSERT INTO personas (id, name, messages) VALUES (?, ?, ?)", (name, name, text))
            db.execute("INSERT INTO persona_states (persona, model, initial) VALUES (?, '', ?)", (name, name))
    (paths.outside / "Here.pth").write_bytes(b"state")
    told = cli("verify", "--repair")
    assert told.code == 1
    assert "nothing here can make it again: Tuned" in told.out
    assert "is gone: Scribe. `rwkv-chat states rebuild`" in told.out
    assert "Here" not in told.out
    for name in ("Tuned", "Scribe"):
        (paths.outside / f"{name}.pth").write_bytes(b"state")
    assert cli("verify").code == 0
