"""Personas: states with a name, what they were made of, and what each model made of them. Runs on the
database thread.

A persona keeps its messages and their exact tokens, so it outlives the conversation that it was saved from.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import index, initials, rows, threads
from rwkv_chat.library.database import transaction
from rwkv_chat.library.errors import PersonaMissing
from rwkv_chat.transcript import ChatMessage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from engine.types import TokenIds
    from rwkv_chat.library.initials import Initial
    from rwkv_chat.transcript import NodeKind, Thread


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a persona. `kind` as of `transcript.Node`."""

    message: ChatMessage
    mode: str = ""
    kind: NodeKind = ""


@dataclass(frozen=True, slots=True)
class MadeState:
    """What one model made of a persona.

    Attributes:
        initial: row of `initials` that its chain begins from, "" for none.
        tokens: of each message, in order.
    """

    model: str
    model_name: str
    tier: str
    coding: str
    prefix: str
    tokens: tuple[TokenIds, ...]
    nbytes: int = 0
    adapter: str = ""
    initial: str = ""


@dataclass(frozen=True, slots=True)
class StoredPersona:
    """A row of `personas` with its states.

    Attributes:
        origin: the tree that it was saved from.  sources: the trees that it was trained on.
    """

    id: str
    name: str
    kind: str = "lived"
    description: str = ""
    tags: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    template: str = ""
    mode: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    created: float = 0.0
    used: float | None = None
    states: tuple[MadeState, ...] = ()
    sources: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------ looking


def listed(db: sqlite3.Connection) -> tuple[StoredPersona, ...]:
    """All personas by name."""
    found = db.execute("SELECT * FROM personas ORDER BY name COLLATE NOCASE, created").fetchall()
    return tuple(_persona(db, row) for row in found)


def get(db: sqlite3.Connection, persona: str) -> StoredPersona:
    """Raises: PersonaMissing."""
    row = db.execute("SELECT * FROM personas WHERE id = ?", (persona,)).fetchone()
    if row is None:
        raise PersonaMissing(persona)
    return _persona(db, row)


def made_from(db: sqlite3.Connection, tree: str) -> tuple[StoredPersona, ...]:
    """Personas that were saved from a tree, or trained on it."""
    found = db.execute(
        "SELECT * FROM personas WHERE origin = :tree "
        "OR id IN (SELECT persona FROM persona_sources WHERE tree = :tree) ORDER BY name",
        {"tree": tree},
    ).fetchall()
    return tuple(_persona(db, row) for row in found)


# ------------------------------------------------------------------------------------------------ changing


def add(db: sqlite3.Connection, persona: StoredPersona, made: Sequence[Initial] = ()) -> StoredPersona:
    """Commit a persona with its states, and the initial states that those begin from."""
    with transaction(db):
        db.execute(
            "INSERT INTO personas (id, name, kind, description, tags, messages, template, mode, sampling, "
            "origin, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(persona.id, persona.name, persona.kind, persona.description, rows.json_of(persona.tags)),
                *(_said(persona.said), persona.template, persona.mode, rows.json_of(dict(persona.sampling))),
                *(persona.origin, time.time()),
            ),
        )
        for each in made:
            initials.insert(db, each)
        for each in persona.states:
            _add_state(db, persona.id, each)
        trees = [(persona.id, each) for each in dict.fromkeys(persona.sources)]
        db.executemany("INSERT INTO persona_sources (persona, tree) VALUES (?, ?)", trees)
    return get(db, persona.id)


def add_state(db: sqlite3.Connection, persona: str, state: MadeState) -> StoredPersona:
    """What a model made of a persona, in place of what it made of it before. Raises: PersonaMissing."""
    with transaction(db):
        get(db, persona)
        db.execute(
            "DELETE FROM persona_states WHERE persona = ? AND model = ? AND tier = ? AND coding = ?",
            (persona, state.model, state.tier, state.coding),
        )
        _add_state(db, persona, state)
    return get(db, persona)


def change(
    db: sqlite3.Connection,
    persona: str,
    name: str | None = None,
    description: str | None = None,
    tags: Sequence[str] | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> StoredPersona:
    """None leaves a value as it is. Raises: PersonaMissing."""
    db.execute(
        "UPDATE personas SET name = coalesce(?, name), description = coalesce(?, description), "
        "tags = coalesce(?, tags), sampling = coalesce(?, sampling) WHERE id = ?",
        (
            *(name, description, None if tags is None else rows.json_of(tuple(tags))),
            *(None if sampling is None else rows.json_of(dict(sampling)), persona),
        ),
    )
    return get(db, persona)


def remove(db: sqlite3.Connection, persona: str) -> StoredPersona:
    """The persona as it was. Conversations that began from it stay. Raises: PersonaMissing."""
    with transaction(db):
        gone = get(db, persona)
        db.execute("DELETE FROM personas WHERE id = ?", (persona,))
    return gone


def hold(db: sqlite3.Connection, thread: str, *, on: bool) -> Thread:
    """Whether the state at a conversation's tip is never given up. Raises: ThreadMissing."""
    db.execute("UPDATE threads SET hold = ? WHERE id = ?", (int(on), thread))
    return threads.get(db, thread)


def held(db: sqlite3.Connection) -> frozenset[str]:
    """Conversations whose state is never given up."""
    return frozenset(row["id"] for row in db.execute("SELECT id FROM threads WHERE hold = 1"))


# ------------------------------------------------------------------------------------------------ beginning


def begin(db: sqlite3.Connection, persona: str, state: MadeState | None, title: str, initial: str) -> Thread:
    """A new conversation that stands at a persona's end, with its messages and their tokens.

    Raises:
        PersonaMissing.
    """
    with transaction(db):
        found = get(db, persona)
        thread = threads.create(db, title).id
        tip = add_messages(db, thread, found.said, state)
        db.execute(
            "UPDATE threads SET tip = ?, chosen_template = ?, mode = ?, persona = ?, initial = ?, "
            "adapter = ?, sampling = ? WHERE id = ?",
            (
                *(tip, found.template, found.mode, found.id, initial, state.adapter if state else ""),
                *(rows.json_of(dict(found.sampling)), thread),
            ),
        )
        db.execute("UPDATE personas SET used = ? WHERE id = ?", (time.time(), persona))
    return threads.get(db, thread)


def add_messages(
    db: sqlite3.Connection, thread: str, said: Sequence[Said], state: MadeState | None
) -> str | None:
    """Messages one after the other in a new tree, with what `state` has of their tokens; the last's id."""
    parent = None
    for place, each in enumerate(said):
        node = threads.new_id()
        db.execute(
            "INSERT INTO nodes (id, tree, parent, role, text, reasoning, mode, kind, created) "
            "VALUES (?, (SELECT tree FROM threads WHERE id = ?), ?, ?, ?, ?, ?, ?, ?)",
            (
                *(node, thread, parent, each.message.role, each.message.text, each.message.reasoning),
                *(each.mode, each.kind, time.time()),
            ),
        )
        index.add(db, node)
        if state is not None and place < len(state.tokens):
            db.execute(
                "INSERT INTO node_tokens (node, coding, tokens) VALUES (?, ?, ?)",
                (node, state.coding, rows.pack(state.tokens[place])),
            )
        parent = node
    return parent


# ------------------------------------------------------------------------------------------------ rows


def _persona(db: sqlite3.Connection, row: sqlite3.Row) -> StoredPersona:
    id_ = rows.text(row, "id")
    states = db.execute("SELECT * FROM persona_states WHERE persona = ? ORDER BY made", (id_,)).fetchall()
    sources = db.execute(
        "SELECT tree FROM persona_sources WHERE persona = ? ORDER BY tree", (id_,)
    ).fetchall()
    return StoredPersona(
        id=id_,
        name=rows.text(row, "name"),
        kind=rows.text(row, "kind"),
        description=rows.text(row, "description"),
        tags=tuple(each for each in rows.items(row, "tags") if isinstance(each, str)),
        said=tuple(_one_said(each) for each in rows.items(row, "messages") if isinstance(each, dict)),
        template=rows.text(row, "template"),
        mode=rows.text(row, "mode"),
        sampling=rows.mapping(row, "sampling"),
        origin=rows.text(row, "origin"),
        created=rows.number(row, "created"),
        used=rows.field(row, "used"),
        states=tuple(_state(each) for each in states),
        sources=tuple(rows.text(each, "tree") for each in sources),
    )


def _state(row: sqlite3.Row) -> MadeState:
    return MadeState(
        model=rows.text(row, "model"),
        model_name=rows.text(row, "model_name"),
        tier=rows.text(row, "tier"),
        coding=rows.text(row, "coding"),
        prefix=rows.text(row, "prefix"),
        tokens=_split(rows.unpack(rows.field(row, "tokens")) or (), rows.items(row, "lengths")),
        nbytes=rows.whole(row, "bytes") or 0,
        adapter=rows.text(row, "adapter"),
        initial=rows.text(row, "initial"),
    )


def _split(tokens: TokenIds, lengths: list[Any]) -> tuple[TokenIds, ...]:
    """The tokens of each message; () where lengths and tokens do not fit (damage)."""
    if not all(isinstance(n, int) and n >= 0 for n in lengths) or sum(lengths) != len(tokens):
        return ()
    parts, at = [], 0
    for n in lengths:
        parts.append(tokens[at : at + n])
        at += n
    return tuple(parts)


def _add_state(db: sqlite3.Connection, persona: str, state: MadeState) -> None:
    db.execute(
        "INSERT INTO persona_states (persona, model, model_name, tier, coding, adapter, initial, prefix, "
        "tokens, lengths, bytes, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(persona, state.model, state.model_name, state.tier, state.coding, state.adapter, state.initial),
            *(state.prefix, rows.pack(tuple(token for each in state.tokens for token in each))),
            *(rows.json_of([len(each) for each in state.tokens]), state.nbytes, time.time()),
        ),
    )


def _said(said: Sequence[Said]) -> str:
    return rows.json_of(
        [
            {
                "role": each.message.role,
                "text": each.message.text,
                "reasoning": each.message.reasoning,
                "mode": each.mode,
                "kind": each.kind,
            }
            for each in said
        ]
    )


def _one_said(value: dict[str, Any]) -> Said:
    role = value.get("role")
    words = {name: value[name] if isinstance(value.get(name), str) else "" for name in _WORDS}
    message = ChatMessage(
        role if role in ("system", "user", "assistant") else "assistant", words["text"], words["reasoning"]
    )
    return Said(message, words["mode"], "passage" if value.get("kind") == "passage" else "")


_WORDS = ("text", "reasoning", "mode")
