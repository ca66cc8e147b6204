"""Search: the index against a plain scan, filters, order, snippets, growth, erasing, migration."""

from __future__ import annotations

import sqlite3
import unicodedata
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwkv_chat.library import branches, erase, fold, index, labels, models, nodes, search, threads
from rwkv_chat.library.database import connect, transaction
from rwkv_chat.library.migrations import migrate
from rwkv_chat.library.query import matches, parts
from rwkv_chat.library.search import MOST_RANKED, Wanted
from tests.bench import search as bench
from tests.chat.books import reply, say
from tests.chat.test_library_files import OLD, write_old

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import Sample

ALPHABET = "aaabAB ßéẞ e\u0301 的模型型ガが가각ｱテ กำ 🧠👍🏽👩\u200d👧 1２ +_*.\"'()\n:ORN\ud55c\u202e½ﬁ"


def found(db: sqlite3.Connection, query: str, **more: object) -> list[str]:
    """Texts of all hits, newest first."""
    wanted = Wanted(query, limit=10_000, **more)  # pyright: ignore[reportArgumentType]
    return [each.node.message.text for each in search.find(db, wanted).hits]


def write(db: sqlite3.Connection, texts: Sequence[str]) -> None:
    for text in texts:
        say(db, text)


# ------------------------------------------------------------------------------------------------ finding


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        *(("的", True), ("模型", True), ("型模", False), ("神经", True), ("型的", False)),
        *(("メモリ", True), ("メリ", False), ("ﾒﾓﾘ", True), ("메모", True), ("か", False), ("がく", True)),
        *(
            ("cafe", True),
            ("CAFÉ", True),
            ("cafe\u0301", True),
            ("caf", True),
            ("afé", False),
            ("STRASSE", True),
        ),
        *(
            ("🧠", True),
            ("👍", True),
            ("🔥", False),
            ("c++", True),
            ("c+ +", True),
            ('"c+ +"', True),
            ("c#", False),
        ),
        *(("foo_bar", True), ("foo bar", True), ('"foo bar"', False), ("e", False), ("x", True)),
        *(('"une caf"', False), ('"une café"', True), ("café une", True), ("AND", False), ("NEAR(", False)),
        *(('"', False), ("", False), ("  \n", False), ("*", False), ("text:", False), ("-", False)),
    ],
)
def test_what_is_found(db: sqlite3.Connection, query: str, hits: bool) -> None:
    write(db, ["神经网络的模型 がく メモリ 메모리 une café straße 🧠 👍🏽 C++ foo_bar x"])
    assert bool(found(db, query)) is hits


@given(
    st.lists(st.text(ALPHABET, max_size=25), min_size=1, max_size=8),
    st.lists(st.text(ALPHABET, min_size=1, max_size=6), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_index_finds_what_a_plain_scan_finds(
    texts: list[str], queries: list[str], draw: random.Random
) -> None:
    for text in texts:  # pieces of the texts themselves, too: most random words are nowhere
        at = draw.randrange(len(text) + 1)
        queries = [*queries, text[at : at + 2], text[at : at + 5], f'"{text[at:]}']
    with closing(connect_in_memory()) as db:
        write(db, [each for each in texts if each.strip()])
        said = [each.message.text for each in every_node(db)]
        for query in queries:
            wanted = parts(query)
            expected = [each for each in said if wanted and matches(plain(each), wanted)]
            assert sorted(found(db, query)) == sorted(expected), query
        with transaction(db):
            index.rebuild(db)
        assert index.is_sound(db)


def plain(text: str) -> list[str]:
    return [each.text for each in fold.tokens(text)]


def connect_in_memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    migrate(db)
    return db


def every_node(db: sqlite3.Connection) -> list:
    return [nodes.get(db, row[0]) for row in db.execute("SELECT id FROM nodes").fetchall()]


@given(st.text(max_size=60))
def test_the_fast_fold_is_the_plain_one(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert fold.fold(text).split(" ") == (plain(text) or [""])
    places = list(fold.tokens(text))
    assert all(each.start < each.end for each in places)
    assert places == sorted(places, key=lambda each: each.start)
    assert fold.fold(unicodedata.normalize("NFD", text)) == fold.fold(text)


@given(st.text("的模型一二カナ", min_size=1, max_size=2), st.lists(st.text("的模型一二カナ ,x", max_size=9)))
def test_one_and_two_characters_are_found_as_like_finds_them(query: str, texts: list[str]) -> None:
    with closing(connect_in_memory()) as db:
        write(db, [each for each in texts if each.strip()])
        rows = db.execute("SELECT text FROM nodes WHERE text LIKE ?", (f"%{query}%",))
        assert sorted(found(db, query)) == sorted(row[0] for row in rows)


# ------------------------------------------------------------------------------------------------ filters


def test_filters_and_the_trash(db: sqlite3.Connection) -> None:
    one, asked = say(db, "alpha one")
    nodes.save_reply(db, one, reply(asked, "alpha reply", model="abcdef"))
    two, _ = say(db, "alpha two")
    assert found(db, "alpha") == ["alpha two", "alpha reply", "alpha one"]
    assert found(db, "alpha", role="assistant") == ["alpha reply"]
    assert found(db, "alpha", role="system") == []
    assert found(db, "alpha", model="abc") == ["alpha reply"]
    assert found(db, "alpha", model="b") == []
    assert found(db, "alpha", thread=two) == ["alpha two"]
    assert found(db, "alpha", thread="nobody") == []
    threads.delete(db, one)
    assert found(db, "alpha") == ["alpha two"]
    assert found(db, "alpha", deleted=True) == ["alpha reply", "alpha one"]
    assert len(found(db, "alpha", deleted=None)) == 3
    (hit,) = search.find(db, Wanted("alpha reply", deleted=True)).hits
    assert (hit.thread, hit.title, hit.deleted) == (one, "alpha one", True)


def test_the_archive_is_searched_alone_and_with_the_others(db: sqlite3.Connection) -> None:
    one, asked = say(db, "alpha one")
    two, _ = say(db, "alpha two")
    labels.archive(db, one)
    assert found(db, "alpha") == ["alpha two", "alpha one"]
    assert found(db, "alpha", archived=True) == ["alpha one"]
    assert found(db, "alpha", archived=False) == ["alpha two"]
    beside = branches.fork(db, one, asked).id
    (hit,) = search.find(db, Wanted("one", archived=True)).hits
    assert (hit.thread, hit.archived) == (one, True)
    (hit,) = search.find(db, Wanted("one", archived=False)).hits
    assert (hit.thread, hit.archived) == (beside, False)
    threads.delete(db, one)
    assert found(db, "alpha", archived=True) == []
    assert found(db, "alpha", archived=True, deleted=True) == []  # its tree lives on in the branch
    threads.delete(db, two)
    assert found(db, "alpha", archived=True, deleted=True) == ["alpha two"]


def test_dates_and_pages(db: sqlite3.Connection) -> None:
    for number in range(7):
        _, node = say(db, f"beta {number}")
        db.execute("UPDATE nodes SET created = ? WHERE id = ?", (1000.0 + (number // 2), node))
    index.rebuild(db)
    assert found(db, "beta", since=1001, until=1003) == ["beta 5", "beta 4", "beta 3", "beta 2"]
    pages, before = [], None
    while hits := search.find(db, Wanted("beta", limit=3, before=before)).hits:
        pages += [each.node.message.text for each in hits]
        before = hits[-1].place
    assert pages == [f"beta {number}" for number in reversed(range(7))]


def test_a_model_that_gets_its_id_later_is_found_by_it(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "gamma")
    nodes.save_reply(db, thread, reply(asked, "delta", model="unidentified"))
    models.identified(db, "/models/x.pth", "unidentified", "f00d")
    assert found(db, "delta", model="f00d") == ["delta"]
    assert found(db, "delta", model="unid") == []
    assert index.is_sound(db)


def test_the_best_first_only_where_hits_are_few(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(db, ["epsilon epsilon epsilon", "one epsilon among many other words here", "zeta"])
    ranked = search.find(db, Wanted("epsilon", ranked=True))
    assert ranked.hits[0].node.message.text == "epsilon epsilon epsilon"
    assert (ranked.number, ranked.ranked, MOST_RANKED) == (2, True, 5000)
    monkeypatch.setattr(search, "MOST_RANKED", 1)
    newest = search.find(db, Wanted("epsilon", ranked=True))
    assert (newest.hits[1].node.message.text, newest.ranked) == (
        "epsilon epsilon epsilon",
        False,
    )


# ------------------------------------------------------------------------------------------------ snippets


def test_a_snippet_is_text_around_the_match_with_the_match_marked() -> None:
    text = "x " * 100 + "<b>the Café</b>\nof the 模型" + " y" * 100
    pieces = search.snippet(text, parts("cafe 模型"))
    assert pieces is not None
    assert [piece for piece, match in pieces if match] == ["Café", "模型"]
    shown = "".join(piece for piece, _ in pieces)
    assert "<b>the Café</b> of the 模型" in shown
    assert (shown[0], shown[-1]) == ("…", "…")
    assert len(shown) <= search.SNIPPET + 2
    assert search.snippet(text, parts("nothing")) is None


@given(st.text(ALPHABET, min_size=1, max_size=300), st.randoms(use_true_random=False))
def test_a_snippet_holds_what_was_found(text: str, draw: random.Random) -> None:
    at = draw.randrange(len(text))
    query = parts(text[at : at + 3].replace('"', ""))
    pieces = search.snippet(text, query)
    assert (pieces is None) == (not query or not matches(plain(text), query))
    if pieces:
        assert any(match for _, match in pieces)


# ------------------------------------------------------------------------------------------------ in step


def test_a_growing_reply_is_found_by_what_it_says_now(db: sqlite3.Connection) -> None:
    thread, asked = say(db, "one")
    for text in ("eta", "eta th", "eta theta"):
        nodes.save_reply(db, thread, reply(asked, text))
    assert found(db, "theta") == ["eta theta"]
    assert found(db, "eta") == ["eta theta"]
    assert index.is_sound(db)


def test_what_is_rolled_back_is_not_found(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    nodes.put(db, threads.create(db).id, None, "user", "iota")
    db.execute("ROLLBACK")
    assert found(db, "iota") == []
    assert index.is_sound(db)


def test_nothing_of_an_erased_message_stays_in_the_file(file: Path) -> None:
    word = "kappasentinel"
    with closing(connect(file)) as db:
        for number in range(300):
            say(db, f"message {number} " + "word " * 20)
        thread, _ = say(db, f"this is my {word}")
        threads.delete(db, thread)
        erase.purge(db, now=1e11)
        assert found(db, word, deleted=None) == []
        assert index.settle(db, begin=True)
        while index.settle(db):
            pass
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert index.is_sound(db)
        assert len(found(db, "message")) == 300
    assert word[:6].encode() not in file.read_bytes()


def test_a_damaged_index_keeps_nobody_from_writing(db: sqlite3.Connection) -> None:
    thread, _ = say(db, "lambda")
    db.execute("UPDATE search_data SET block = x'ff00ff'")
    _, asked = say(db, "mu", thread)
    nodes.save_reply(db, thread, reply(asked, "nu"))
    assert found(db, "lambda") == ["lambda"]
    assert found(db, "nu") == ["nu"]
    assert index.is_sound(db)


@pytest.mark.parametrize("name", OLD)
def test_old_libraries_can_be_searched(file: Path, name: str) -> None:
    write_old(file, name)
    with closing(connect(file)) as db:
        assert found(db, "memory size") == ["A memory of fixed size."]
        assert index.is_sound(db)
        say(db, "memory", "t1")
        assert len(found(db, "memory")) == 2


# ------------------------------------------------------------------------------------------------ size


def test_a_large_library_is_searched_listed_and_opened_quickly(
    file: Path, sample: Sample, room: float
) -> None:
    count = sample("conversations searched", 100, 10_000)
    with closing(connect(file)) as db, closing(connect(file.with_name("small.sqlite"))) as small:
        bench.fill(db, count, 50)
        bench.fill(small, min(count, 100) // 2, 50)
        large, few = bench.measure(db), bench.measure(small)
    slow = {name: taken for name, taken in large.items() if taken > 0.3 * room}
    assert slow == {}
    for what in bench.LOOKS:
        assert large[what] <= (2 * few[what] + 0.002) * room, (what, large[what], few[what])
