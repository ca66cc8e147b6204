"""`rwkv-chat backup` and `rwkv-chat restore`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from tests.chat.books import say, texts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat.command_line import Cli


@pytest.fixture
def paths(home: Path) -> Paths:
    return Paths.find().make()


def spoken(paths: Paths, text: str, thread: str | None = None) -> str:
    with closing(connect(paths.database)) as db:
        return say(db, text, thread)[0]


def heard(paths: Paths, thread: str) -> list[str]:
    with closing(connect(paths.database)) as db:
        return texts(db, thread)


def test_a_copy_is_made_listed_and_gone_back_to(cli: Cli, paths: Paths) -> None:
    thread = spoken(paths, "one")
    assert cli("backup", "--list").err.strip() == "There are no copies yet."
    assert "messages: 1" in cli("backup").out
    (row,) = json.loads(cli("backup", "--list", "--json").out)
    spoken(paths, "two", thread)
    assert row["name"] in cli("backup", "--list").out
    said = cli("restore", row["name"], "--yes")
    assert (said.code, heard(paths, thread)) == (0, ["one"])
    assert "rwkv-chat restore before-restore-" in said.err
    again = json.loads(cli("restore", "newest", "--yes", "--json").out)
    assert (again["messages"], heard(paths, thread)) == (1, ["one"])
    name = said.err.split("rwkv-chat restore ")[1].split("`")[0]
    assert json.loads(cli("restore", name, "--yes", "--json").out)["messages"] == 2
    assert heard(paths, thread) == ["one", "two"]


def test_a_file_of_ones_own(cli: Cli, paths: Paths, tmp_path: Path) -> None:
    thread = spoken(paths, "one")
    mine = tmp_path / "mine.sqlite"
    assert json.loads(cli("backup", "--to", str(mine), "--json").out)["messages"] == 1
    again = cli("backup", "--to", str(mine))
    assert (again.code, "name another file" in again.err) == (2, True)
    assert cli("backup", "--to", str(tmp_path / "no" / "mine.sqlite")).code == 3
    spoken(paths, "two", thread)
    assert cli("restore", str(mine), "--yes").code == 0
    assert heard(paths, thread) == ["one"]


def test_nobody_is_asked_where_nobody_can_answer(cli: Cli, paths: Paths) -> None:
    thread = spoken(paths, "one")
    cli("backup")
    spoken(paths, "two", thread)
    refused = cli("restore", "newest")
    assert (refused.code, "give --yes" in refused.err) == (2, True)
    assert heard(paths, thread) == ["one", "two"]


def test_what_is_no_copy_is_refused_in_a_sentence(cli: Cli, paths: Paths, tmp_path: Path) -> None:
    thread = spoken(paths, "one")
    unknown = cli("restore", "yesterday", "--yes")
    assert (unknown.code, "There is no copy yesterday" in unknown.err) == (2, True)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE things (x)")
    (tmp_path / "text").write_text("hello")
    for name, words in (
        ("other.sqlite", "some other program"),
        ("text", "no sound copy"),
        (".", "not a file"),
    ):
        said = cli("restore", str(tmp_path / name), "--yes")
        assert (said.code, words in said.err, "Traceback" in said.err) == (1, True, False)
    assert heard(paths, thread) == ["one"]


def test_a_library_that_does_not_open_is_gone_back_from(cli: Cli, paths: Paths) -> None:
    thread = spoken(paths, "one")
    cli("backup")
    paths.database.write_bytes(b"\xa5" * 9000)
    damaged = cli("convs", "list")
    assert "rwkv-chat restore newest" in damaged.err
    assert "put aside" in cli("restore", "newest", "--yes").err
    assert heard(paths, thread) == ["one"]
