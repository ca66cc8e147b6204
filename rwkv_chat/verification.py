"""Is everything that was saved what it was when it was saved? `rwkv-chat verify` prints what this finds."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.store.check import check_all
from rwkv_chat.explain import size
from rwkv_chat.library import adapters, backup, health, index, initials, states, verify
from rwkv_chat.library.database import connect, transaction
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from rwkv_chat.paths import Paths

Part = Literal["database", "messages", "index", "states", "copy"]


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at.

    Attributes:
        good: nothing is wrong with it.  mended: it was wrong and is right now.
        text: a sentence.
    """

    part: Part
    good: bool
    text: str
    mended: bool = False


def verification(paths: Paths, *, repair: bool) -> Iterator[Result]:
    """Looks at everything, part by part; with `repair`, mends on the way, after a copy.

    Raises:
        LibraryError: the database cannot be opened.  OSError.
    """
    if not paths.database.exists():
        connect(paths.database).close()
    found = health.look(paths.database)
    if found.faults:
        yield Result("database", good=False, text=say("verify.database_bad", fault=found.faults[0]))
    else:
        counts = {"messages": f"{found.messages:,}", "threads": f"{found.threads + found.deleted:,}"}
        yield Result("database", good=True, text=say("verify.database", **counts))
        with closing(connect(paths.database)) as db:
            mender = _Mender(db, paths, repair=repair)
            yield from _messages(db, paths, mender)
            yield from _index(db, mender)
            yield from _outside(db, paths)
            yield from _adapters(db, paths)
    yield from _states(paths, repair=repair)


class _Mender:
    """Makes a copy before the first thing is mended."""

    def __init__(self, db: sqlite3.Connection, paths: Paths, *, repair: bool) -> None:
        self.repair = repair
        self._db, self._paths, self._copied = db, paths, False

    def copied(self) -> Iterator[Result]:
        if not self._copied and self.repair:
            self._copied = True
            copy = backup.make(self._paths.database, self._paths.backups)
            yield Result("copy", good=True, text=say("verify.copied", path=copy))


def _messages(db: sqlite3.Connection, paths: Paths, mender: _Mender) -> Iterator[Result]:
    count = verify.Count()
    held = frozenset(path.name[:32] for path in paths.states.glob("*.safetensors"))
    for fault in verify.check(db, held, count):
        yield from mender.copied()
        if mender.repair:
            verify.repair(db, fault)
            count.fit += fault.kind == "key"
        thread = title(fault.thread) or say("convs.untitled")
        yield Result(
            "messages", good=False, text=say(f"verify.{fault.kind}", thread=thread), mended=mender.repair
        )
    yield Result("messages", good=True, text=say("verify.keys", number=f"{count.fit:,}"))
    if unread := verify.unread(db):
        yield Result("messages", good=True, text=say("verify.unread", number=f"{unread:,}"))


def _index(db: sqlite3.Connection, mender: _Mender) -> Iterator[Result]:
    if index.is_sound(db):
        yield Result("index", good=True, text=say("verify.index"))
        return
    yield from mender.copied()
    if mender.repair:
        with transaction(db):
            index.rebuild(db)
    yield Result("index", good=False, text=say("verify.index_bad"), mended=mender.repair)


def _outside(db: sqlite3.Connection, paths: Paths) -> Iterator[Result]:
    """States from outside are no cache: one that is gone is named with the personas that begin from it, and
    nothing here makes it again. (A state that lies where a person put it is that person's.)
    """
    begun: dict[str, list[str]] = {}
    for persona in states.listed(db):
        for id_ in {each.initial for each in persona.states if each.initial}:
            begun.setdefault(id_, []).append(title(persona.name))
    for initial in initials.listed(db):
        ours = [paths.outside / each for each in initial.files if Path(each).name == each]
        if not all(each.is_file() and each.stat().st_size for each in ours):
            names = listed(begun.get(initial.id, ())) or title(initial.name) or initial.id[:8]
            again = any(each.said for each in states.listed(db) if each.name in begun.get(initial.id, ()))
            text = say("verify.outside_text" if again else "verify.outside", names=names)
            yield Result("states", good=False, text=text)


def _adapters(db: sqlite3.Connection, paths: Paths) -> Iterator[Result]:
    """Nothing here makes one again, but a run that is still there."""
    for each in adapters.listed(db):
        folder = paths.adapters / each.file
        if not folder.is_dir() or not any(of.stat().st_size for of in folder.iterdir()):
            name = title(each.name) or each.id[:8]
            yield Result("states", good=False, text=say("verify.adapter", name=name))


def _states(paths: Paths, *, repair: bool) -> Iterator[Result]:
    """A damaged state is deleted: it would be, as soon as somebody asked for it."""
    whole = nbytes = 0
    for path, error in check_all(paths.states):
        if error is None:
            whole, nbytes = whole + 1, nbytes + path.stat().st_size
            continue
        if repair:
            path.unlink(missing_ok=True)
        text = say("verify.state", name=path.name, reason=error.reason)
        yield Result("states", good=False, text=text, mended=repair)
    yield Result("states", good=True, text=say("verify.states", number=f"{whole:,}", size=size(nbytes)))
