"""Tags, pins, the archive."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwkv_chat.library import labels, search, threads
from rwkv_chat.library.database import connect
from rwkv_chat.library.errors import ThreadMissing
from rwkv_chat.library.search import Wanted
from rwkv_chat.paths import Paths
from tests.chat.books import say

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chat.command_line import Cli


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(file)) as opened:
        yield opened


def titles(found: tuple) -> list[str]:
    return [each.title for each in found]


def begun(db: sqlite3.Connection, *names: str) -> list[str]:
    made = []
    for name in names:
        thread, _ = say(db, f"{name} says something")
        threads.rename(db, thread, name)
        made.append(thread)
    return made


def test_pinned_first_then_the_newest_and_the_archive_apart(db: sqlite3.Connection) -> None:
    one, two, three = begun(db, "one", "two", "three")
    assert titles(labels.listed(db)) == ["three", "two", "one"]
    assert labels.pin(db, one).pinned is not None
    labels.archive(db, two)
    assert titles(labels.listed(db)) == ["one", "three"]
    assert titles(labels.listed(db, 1)) == ["one"]
    assert titles(labels.listed(db, archived=True)) == ["two"]
    assert titles(labels.listed(db, archived=None)) == ["one", "three", "two"]
    labels.pin(db, one, on=False)
    labels.archive(db, two, on=False)
    assert titles(labels.listed(db)) == ["three", "two", "one"]
    threads.delete(db, three)
    assert titles(labels.listed(db, archived=None)) == ["two", "one"]


def test_tags_are_put_on_taken_off_counted_and_searched(db: sqlite3.Connection) -> None:
    one, two, three = begun(db, "one", "two", "three")
    labels.tag(db, [one, two], ["#Work", " 仕事 "])
    labels.tag(db, [two], ["later"], ["work"])
    assert labels.tags_of(db, [one, two, three]) == {
        one: ("work", "仕事"),
        two: ("later", "仕事"),
        three: (),
    }
    assert labels.tags(db) == (("仕事", 2), ("later", 1), ("work", 1))
    assert titles(labels.listed(db, tag="WORK")) == ["one"]
    hits = search.find(db, Wanted("something", tag="仕事")).hits
    assert {each.thread for each in hits} == {one, two}
    with pytest.raises(ThreadMissing):
        labels.tag(db, [one, "nobody"], ["half"])
    assert labels.tags_of(db, [one]) == {one: ("work", "仕事")}
    threads.delete(db, two)
    assert labels.tags(db) == (("work", 1), ("仕事", 1))


@given(st.text())
def test_a_tag_is_a_short_line_of_shown_characters(text: str) -> None:
    tag = labels.tag_from(text)
    assert len(tag) <= labels.LONGEST_TAG
    assert tag == tag.strip()
    assert not set(tag) & set("\n\r\t\x1b\u202e\x00")


def test_the_commands(cli: Cli, home: Path) -> None:
    with closing(connect(Paths.find().make().database)) as db:
        begun(db, "one", "two")
    assert cli("convs", "tag", "one", "--add", "work").out.strip() == "one: #work"
    assert cli("convs", "tag").out.strip() == "work  (1)"
    assert cli("convs", "list", "--tag", "work").out.strip().endswith("one  #work")
    assert "Pinned: one" in cli("convs", "pin", "one").err
    assert [each["title"] for each in json.loads(cli("convs", "list", "--json").out)] == ["one", "two"]
    assert "Archived: two" in cli("convs", "archive", "two").err
    assert len(cli("convs", "list").out.splitlines()) == 1
    assert "two" in cli("convs", "list", "--archived").out
    assert "In the list again: two" in cli("convs", "archive", "two", "--off").err
    assert cli("convs", "pin", "nobody").code == 3
    assert json.loads(cli("convs", "search", "something", "--tag", "work", "--json").out)["number"] == 1
