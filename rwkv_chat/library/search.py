"""Search over all conversations: newest first, or by relevance where the hits are few. Runs on the database
thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rwkv_chat.library import fold, index, rows
from rwkv_chat.library.labels import tag_from
from rwkv_chat.library.query import Part, expression, parts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from rwkv_chat.transcript import Node, Role

MOST_RANKED = 5_000
PAGE = 20
MOST_NAMED = 200  # trees in one query
NOBODY = "nobody"  # a mark that no message has
SNIPPET = 120  # characters
BEFORE = 40  # of them, at most, before the match
_ENDLESS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for.

    Attributes:
        role, model: "" for any; a model by its id or the beginning of it, so replies only.
        since, until: seconds since the epoch; from `since` on, before `until`.
        tag: in a conversation with this tag ("" for all).
        thread: in the tree of this conversation only ("" for all).
        deleted: in the trash, in place of what is alive; None: both.
        archived: in the archive, or (False) outside of it; None: both. It counts for what is alive alone.
        ranked: the best first, where there are at most `MOST_RANKED` hits.
        before: `Hit.place` of the last hit of the page before; None for the first page.
    """

    query: str
    role: Role | Literal[""] = ""
    model: str = ""
    since: float | None = None
    until: float | None = None
    thread: str = ""
    tag: str = ""
    deleted: bool | None = False
    archived: bool | None = None
    ranked: bool = False
    before: int | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that has what was searched for.

    Attributes:
        thread, title: a conversation in whose tree it stands: alive before deleted, one in the place that was
            searched before others, the newest first.
        snippet: a part of its text in pieces, each with whether it is what was found. Data, not markup.
        place: where it stands in time, for the next page.
    """

    thread: str
    title: str
    deleted: bool
    node: Node
    snippet: tuple[tuple[str, bool], ...]
    place: int
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Hits:
    """One page.

    Attributes:
        number: of all hits; one more than `MOST_RANKED` stands for "more".
        ranked: the best first; else newest first.
    """

    hits: tuple[Hit, ...] = ()
    number: int = 0
    ranked: bool = False


@dataclass(slots=True)
class _Statement:
    conditions: list[str] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)

    def add(self, condition: str, **values: object) -> None:
        self.conditions.append(condition)
        self.values |= values

    def select(self, what: str, end: str) -> str:
        where = " AND ".join(self.conditions)
        return f"SELECT {what} FROM search CROSS JOIN search_docs AS docs ON docs.id = search.rowid WHERE {where} {end}"  # noqa: S608, E501  our own conditions


def find(db: sqlite3.Connection, wanted: Wanted) -> Hits:
    """A page of hits. A query without anything to find has none."""
    query = parts(wanted.query)
    if not query:
        return Hits()
    statement = _statement(db, wanted, query)
    counting = f"SELECT count(*) FROM ({statement.select('1', 'LIMIT :most')})"  # noqa: S608  our own conditions
    number = db.execute(counting, {**statement.values, "most": MOST_RANKED + 1}).fetchone()[0]
    ranked = wanted.ranked and number <= MOST_RANKED
    if wanted.before is not None and not ranked:
        statement.add("search.rowid < :before", before=wanted.before)
    order = "bm25(search, 1.0, 0.0), search.rowid DESC" if ranked else "search.rowid DESC"
    page = statement.select("docs.id, docs.node, docs.tree", f"ORDER BY {order} LIMIT :limit")
    found = db.execute(page, {**statement.values, "limit": max(0, wanted.limit)}).fetchall()
    hits = (_hit(db, row, query, wanted) for row in found)
    return Hits(tuple(each for each in hits if each is not None), number, ranked)


def _statement(db: sqlite3.Connection, wanted: Wanted, query: Sequence[Part]) -> _Statement:
    statement = _Statement()
    marks = [[index.mark("r", wanted.role)]] if wanted.role else []
    marks += [_trees(db, "id = ?", wanted.thread)] if wanted.thread else []
    marks += [_models(db, wanted.model)] if wanted.model else []
    if wanted.tag:
        statement.add(f"docs.tree IN ({_TAGGED})", tag=tag_from(wanted.tag))
    marks += _add_place(db, statement, wanted)
    statement.add("search MATCH :query", query=expression(query, marks))
    first = 0 if wanted.since is None else index.document_at(wanted.since)
    last = _ENDLESS if wanted.until is None else index.document_at(wanted.until) - 1
    statement.add("search.rowid BETWEEN :first AND :last", first=first, last=last)
    return statement


def _trees(db: sqlite3.Connection, condition: str, *values: str) -> list[str]:
    found = db.execute(f"SELECT DISTINCT tree FROM threads WHERE {condition}", values)  # noqa: S608  our own conditions
    return [index.mark("t", rows.text(row, "tree")) for row in found] or [NOBODY]


def _models(db: sqlite3.Connection, model: str) -> list[str]:
    names = (row[0] for row in db.execute("SELECT model FROM search_models"))
    return [index.mark("m", each) for each in names if each.startswith(model)] or [NOBODY]


_TAGGED = "SELECT tree FROM threads WHERE id IN (SELECT thread FROM thread_tags WHERE tag = :tag)"
_ALIVE = "SELECT tree FROM threads WHERE deleted IS NULL"


_GONE = f"tree NOT IN ({_ALIVE})"
_ARCHIVED = "deleted IS NULL AND archived IS NOT NULL"


def _add_place(db: sqlite3.Connection, statement: _Statement, wanted: Wanted) -> list[list[str]]:
    """Few trees in the trash or the archive are named in the index's own language: the others are not even
    looked at.
    """
    if wanted.deleted is None:
        where = "TRUE"
    elif wanted.deleted:
        where = _GONE
    else:
        where = {None: "deleted IS NULL", True: _ARCHIVED, False: "deleted IS NULL AND archived IS NULL"}[
            wanted.archived
        ]
    statement.add(f"docs.tree IN (SELECT tree FROM threads WHERE {where})")  # noqa: S608  our own conditions
    if where not in (_GONE, _ARCHIVED):
        return []
    trees = _trees(db, where)
    return [trees] if len(trees) <= MOST_NAMED else []


_THREAD = (
    "SELECT id, title, deleted, archived FROM threads WHERE tree = ? "
    "ORDER BY id <> ?, deleted IS NOT NULL, (archived IS NOT NULL) <> ?, updated DESC LIMIT 1"
)


def _hit(db: sqlite3.Connection, row: sqlite3.Row, query: Sequence[Part], wanted: Wanted) -> Hit | None:
    """None where the index says more than the message (damage)."""
    found = db.execute("SELECT * FROM nodes WHERE id = ?", (row["node"],)).fetchone()
    thread = db.execute(_THREAD, (row["tree"], wanted.thread, bool(wanted.archived))).fetchone()
    pieces = None if found is None else snippet(rows.text(found, "text"), query)
    if found is None or thread is None or pieces is None:
        return None
    name, deleted = rows.text(thread, "title"), thread["deleted"] is not None
    archived = thread["archived"] is not None
    return Hit(rows.text(thread, "id"), name, deleted, rows.node(found), pieces, row["id"], archived)


def snippet(text: str, query: Sequence[Part]) -> tuple[tuple[str, bool], ...] | None:
    """The text around the first match, in one line; None where a part is not in it, or nothing is
    searched for.
    """
    found = tuple(fold.tokens(text))
    words = [each.text for each in found]
    if (start := _first(found, words, query)) is None:
        return None
    begin = max(0, start - BEFORE)
    end = begin + SNIPPET
    marked = _marked(found, words, query, begin, end)
    return _pieces(fold.normal(text), begin, end, marked)


def place(text: str, query: Sequence[Part]) -> int | None:
    """Where the first match stands in `fold.normal(text)`; None where a part is not in it."""
    found = tuple(fold.tokens(text))
    return _first(found, [each.text for each in found], query)


def _first(found: Sequence[fold.Token], words: Sequence[str], query: Sequence[Part]) -> int | None:
    firsts = [part.find(words) for part in query]
    if not firsts or any(first is None for first in firsts):
        return None
    return min(found[first].start for first in firsts if first is not None)


def _marked(
    found: Sequence[fold.Token], words: Sequence[str], query: Sequence[Part], begin: int, end: int
) -> list[tuple[int, int]]:
    """Where matches stand between `begin` and `end`, in order, none over another."""
    spans: list[tuple[int, int]] = []
    low = next((at for at, each in enumerate(found) if each.end > begin), len(found))
    high = next((at for at, each in enumerate(found) if each.start >= end), len(found))
    for part in query:
        at = part.find(words[:high], low)
        while at is not None:
            spans.append((found[at].start, found[at + len(part.tokens) - 1].end))
            at = part.find(words[:high], at + 1)
    kept: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if kept and first <= kept[-1][1]:
            kept[-1] = kept[-1][0], max(last, kept[-1][1])
        else:
            kept.append((first, last))
    return kept


def _pieces(
    text: str, begin: int, end: int, marked: Sequence[tuple[int, int]]
) -> tuple[tuple[str, bool], ...]:
    pieces: list[tuple[str, bool]] = []
    at = begin
    for first, last in marked:
        pieces += [(text[at:first], False), (text[first : min(last, end)], True)]
        at = min(last, end)
    pieces.append((text[at:end], False))
    shown = [(_one_line(each), match) for each, match in pieces if each]
    before = [("…", False)] if begin else []
    after = [("…", False)] if end < len(text) else []
    return (*before, *shown, *after)


def _one_line(text: str) -> str:
    return "".join(" " if each.isspace() else each for each in text)
