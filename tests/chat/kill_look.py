"""The look at what a kill left (`tests.chat.kill`): is all there that was acknowledged, does everything open,
is every state that of its chain?
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.store.check import check_all
from rwkv_chat.library import backup, health, index, nodes, threads, verify
from rwkv_chat.library.database import connect
from rwkv_chat.library.migrations import MIGRATIONS
from rwkv_chat.paths import Paths
from rwkv_chat.session.reply import parse
from tests.chat.kill_fake import LAYOUT, fed, key_of, number_of
from tests.chat.kill_script import GROWTH_SECONDS, TAKEN_IN
from tests.chat.real import GREEDY, ask, told

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.templates import Template
    from rwkv_chat.transcript import Node

    Opening = Callable[[Path], Awaitable[Session]]

SLACK = 1.4  # on a machine with more work than cores a write was once seen to come 1 s late


class Look:
    """What is found after a kill.

    Attributes:
        noted: what was noted in this home, by all lives so far.  counts: what was looked at now.
    """

    def __init__(self, home: Path, opening: Opening) -> None:
        self.home, self.opening = home, opening
        self.paths = Paths.under(home).make()  # a life may end before it has made its folders
        self.faults: list[str] = []
        self.from_text: set[str] = set()  # messages that were taken in: their tokens were made from the text
        self.noted: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    async def everything(self, *, real: bool) -> None:
        with closing(connect(self.paths.database)) as db:
            self._sound(db)
            kept = {
                row["id"]: dict(row) for row in db.execute("SELECT id, parent, text, reasoning FROM nodes")
            }
            alive = threads.alive(db)
            self._opens(db, alive)
            self._half_made(db)
            self._taken_in(db)
            if not real:
                self._states(db)
        self._acknowledged(kept)
        self._shown(kept)
        self._files()
        for thread in {each.id: each for each in (*alive[:1], *alive[-2:])}.values():
            await (self._goes_on(thread.id) if real else self._goes_on_fast(thread.id))

    def _sound(self, db: sqlite3.Connection) -> None:
        """The database to its last page, its schema, the keys of messages, the index."""
        self.faults += health.examine(db).faults
        if db.execute("PRAGMA user_version").fetchone()[0] != len(MIGRATIONS):
            self.faults.append("the schema is not the newest")
        for each in verify.check(db):
            self.faults.append(f"message {each.node}: its {each.kind} is wrong")
        if not index.is_sound(db):
            self.faults.append("the index does not fit")

    def _opens(self, db: Any, alive: tuple) -> None:
        for thread in alive:
            path = nodes.path(db, thread.tip)
            if (path and path[0].node.parent is not None) or (thread.tip and not path):
                self.faults.append(f"conversation {thread.id} has no beginning")

    def _half_made(self, db: sqlite3.Connection) -> None:
        """Copies that were cut short: nothing that is shown follows them, and nobody stands on them."""
        hidden = {row["node"] for row in db.execute("SELECT node FROM search_docs WHERE tree = ''")}
        self.counts["half made"] += bool(hidden)
        alive = db.execute("SELECT id, parent FROM nodes WHERE deleted IS NULL").fetchall()
        tips = {row["tip"] for row in db.execute("SELECT tip FROM threads")}
        seen = {each for row in alive for each in (row["id"], row["parent"])} | tips
        self.faults += [f"message {each} of a half made branch is shown" for each in hidden & seen]

    def _taken_in(self, db: sqlite3.Connection) -> None:
        query = "SELECT id FROM nodes WHERE tree IN (SELECT tree FROM threads WHERE title LIKE ?)"
        self.from_text |= {row["id"] for row in db.execute(query, (f"{TAKEN_IN}%",))}
        for note in _notes(self.home):
            if note["kind"] == "imported":
                self.noted["imported"] += 1
                query = "SELECT count(*) FROM nodes WHERE tree = (SELECT tree FROM threads WHERE id = ?)"
                if db.execute(query, (note["thread"],)).fetchone()[0] < note["messages"]:
                    self.faults.append(f"imported {note['thread']} is not whole")

    def _acknowledged(self, kept: dict[str, dict]) -> None:
        notes = _notes(self.home)
        going = {each["text"] for each in notes if each["kind"] == "erasing"}
        gone = {each["text"] for each in notes if each["kind"] == "erased"}
        texts = {row["text"] for row in kept.values()}
        self.faults += [f"{each!r} was erased and is there" for each in gone & texts]
        for note in notes:
            if note["kind"] in ("erased", "thinned", "copied"):
                self.noted[note["kind"]] += 1
            if note["kind"] not in ("committed", "answered") or note["text"] in going:
                continue
            self.noted[note["kind"]] += 1
            row = kept.get(note["node"])
            if row is None or (row["text"], row["reasoning"]) != (note["text"], note.get("reasoning", "")):
                self.faults.append(f"{note['kind']} {note['node']} is not what was acknowledged")

    def _shown(self, kept: dict[str, dict]) -> None:
        """Whatever was on the screen a second before the kill is in some reply to that message."""
        replies: dict[str, list[dict]] = {}
        for row in kept.values():
            replies.setdefault(row["parent"], []).append(row)
        for asked, text, reasoning in _old_enough(_notes(self.home)):
            self.noted["shown"] += 1
            found = replies.get(asked, []) + replies.get(kept.get(asked, {}).get("parent", ""), [])
            if not any(_holds(row, text, reasoning) for row in found):
                self.faults.append(f"shown in reply to {asked} and lost: {text[:40]!r}")

    def _files(self) -> None:
        """Every saved state is whole, and every copy of the library is one."""
        for path, error in check_all(self.paths.states):
            self.counts["states read"] += 1
            if error is not None:
                self.faults.append(f"state {path.name}: {error.reason}")
        for copy in backup.copies(self.paths.backups):
            self.counts["copies read"] += 1
            if health.look(copy).faults:
                self.faults.append(f"copy {copy.name} is damaged")

    # ---------------------------------------------------------------------------- states of the fake model

    def _states(self, db: sqlite3.Connection) -> None:
        """Every state of the fake model at a message is that of the tokens that are stored."""
        from engine.store.statestore import StateStore

        store = StateStore(self.paths.states, 1 << 40)
        for prefix, tokens in _chains(db):
            if (found := store.load(key_of(prefix), LAYOUT, "fake")) is not None:
                self.counts["states computed again"] += 1
                if (number_of(found), found.length) != (fed(tokens), len(tokens)):
                    self.faults.append(f"the state at {prefix[:8]} is not that of its tokens")

    async def _goes_on_fast(self, thread: str) -> None:
        """Goes on in the home itself, from a saved state or not; what it saves is right at the next look."""
        session = await self.opening(self.home)
        await ask(session, thread, "and now?", GREEDY)
        engine: Any = session._engine
        self.counts["continued"] += 1
        self.counts["continued from a state"] += engine.resumed[-1]
        await session.close()

    # ---------------------------------------------------------------------------- states of the real engine

    async def _goes_on(self, thread: str) -> None:
        """With the states that are left and without any: the same reply, on the same tokens."""
        both = [await self._continued(thread, states=True), await self._continued(thread, states=False)]
        self.counts["continued"] += 1
        if both[0] != both[1]:
            self.faults.append(f"conversation {thread}: resumed and rebuilt differ")

    async def _continued(self, thread: str, *, states: bool) -> tuple:
        copy = self.home.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.home, copy)
        if not states:
            shutil.rmtree(Paths.under(copy).states, ignore_errors=True)
        session = await self.opening(copy)
        end = await ask(session, thread, "and now?", GREEDY)
        if states and end.usage is not None:
            self.counts[f"start {end.usage.source}"] += 1
        path = await told(session, thread)
        await self._reads_as_stored(session, path)
        await session.close()
        return path.tokens

    async def _reads_as_stored(self, session: Session, path: Any) -> None:
        """The tokens of every reply say what its text says, with its thoughts or without."""
        speaker = await session.models.speaking()
        for node in path.nodes:
            if node.message.role == "assistant" and node.tokens is not None:
                raw = speaker.tokenizer.decode_bytes(node.tokens or ()).decode("utf-8", "replace")
                self.counts["thinking replies"] += node.mode not in ("", "none")
                fits = any(each(speaker.template, node, raw) for each in (_is_kept, _is_plain, _goes_on))
                written = not node.model or node.id in self.from_text
                if not fits and not (written and _is_written(speaker.template, node, raw)):
                    self.faults.append(f"reply {node.id}: {raw!r} is not {node.message!r} ({node.mode})")


def _is_kept(template: Template, node: Node, raw: str) -> bool:
    """The tokens are the way to think and all that was drawn."""
    mode = template.mode(node.mode)
    reasoning, text = parse(template, raw.removeprefix(mode.tail), mode)
    said = node.message
    return raw.startswith(mode.tail) and (text.rstrip("\ufffd"), reasoning.rstrip("\ufffd")) == (
        said.text.rstrip("\ufffd"),
        said.reasoning.rstrip("\ufffd"),
    )


def _is_plain(template: Template, node: Node, raw: str) -> bool:
    """The tokens are the answer's plain form, since its thoughts were forgotten."""
    text = node.message.text
    thought = bool(node.message.reasoning) or bool(template.mode(node.mode).tail)
    return thought and raw == (template.render("assistant", text, first=False) if text else "")


def _is_written(template: Template, node: Node, raw: str) -> bool:
    """Its tokens were made from the text: a person wrote it in the model's place, or it was taken in."""
    return raw == template.render("assistant", node.message.text, first=False)


def _goes_on(template: Template, node: Node, raw: str) -> bool:
    """After an answer in its plain form, what was drawn: the space between is the template's matter."""
    mode = template.mode(node.mode)
    whole, said = ("".join(each.split()).replace("\ufffd", "") for each in (raw, node.message.text))
    return node.origin is not None and bool(mode.tail or node.message.reasoning) and whole == said


def _notes(home: Path) -> list[dict]:
    file = home / "notes.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def _old_enough(notes: list[dict]) -> list[tuple[str, str, str]]:
    """(message, text, reasoning) of every reply as it stood on the screen a while before its life's end."""
    found: list[tuple[str, str, str]] = []
    life: dict[str, dict] = {}
    living, dead = 0, set[int]()  # who still wrote a line after its end was noted
    for note in notes:
        if note["kind"] == "shown" and note["life"] not in dead:
            living = note["life"]
            life.setdefault(note["turn"], {"asked": note["asked"], "pieces": []})["pieces"].append(note)
        elif note["kind"] == "killed":
            found += [_screen(each, note["at"] - GROWTH_SECONDS - SLACK) for each in life.values()]
            life = {}
            dead.add(living)
    return [each for each in found if each[1] or each[2]]


def _screen(turn: dict, until: float) -> tuple[str, str, str]:
    pieces = [each for each in turn["pieces"] if each["at"] <= until]
    answer, reasoning = (
        "".join(each["text"] for each in pieces if each["part"] == part) for part in ("answer", "reasoning")
    )
    return turn["asked"], answer, reasoning


def _holds(row: dict, text: str, reasoning: str) -> bool:
    return row["text"].startswith(text) and row["reasoning"].startswith(reasoning)


def _chains(db: sqlite3.Connection) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(key, all tokens before it) of every message that has been fed."""
    from engine.prefix import EMPTY
    from rwkv_chat.library.rows import unpack

    query = (
        "SELECT nodes.id, nodes.parent, nodes.fresh, fed.coding, fed.tokens, fed.prefix "
        "FROM node_tokens AS fed JOIN nodes ON nodes.id = fed.node"
    )
    rows = {(row["id"], row["coding"]): row for row in db.execute(query)}
    for row in rows.values():
        parts, at = [], row
        while at is not None and at["tokens"] is not None:
            parts.append(unpack(at["tokens"]) or ())
            if at["fresh"] or at["parent"] is None:
                break
            at = rows.get((at["parent"], at["coding"]))
        if at is not None and row["prefix"] not in (None, EMPTY):
            yield row["prefix"], tuple(token for part in reversed(parts) for token in part)
