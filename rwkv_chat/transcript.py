"""What a conversation is: values only. Ids, parents and keys are given by the library.

A conversation is a parent-linked tree of nodes; a thread is a named pointer at a tip. Tokens are the truth:
`Node.tokens` holds exactly what was (or will be) fed for that message, template text included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import TokenIds

Role = Literal["system", "user", "assistant"]
NodeKind = Literal["", "passage"]
ThreadKind = Literal["chat", "text", "reading"]
NodeStatus = Literal["complete", "growing", "stopped", "length", "failed"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What was said. `reasoning` is a model's thinking, kept apart from the answer."""

    role: Role
    text: str
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One message in the tree.

    Attributes:
        id: stable, never reused.  parent: id of the message before, None for a first message.
        tokens: exact ids of this message as fed; None until a model was ready to encode them.
        prefix: prefix key after this node's tokens (`engine.prefix`); None while tokens are.
        status: "growing" while a reply is being written (after a crash: what was saved of it).
        model, template: what encoded or wrote it ("" where none did yet).
        created: seconds since the epoch, UTC.
        seed: the seed a reply was sampled with.
        mode: the think mode that a reply was asked for in ("" for none).
        deleted: when the branch that it stands in was deleted (seconds since the epoch), None while alive.
        bookmark: a name for it ("" for none), None where there is no bookmark.
        pinned: its turn is said again when the memory is refreshed.
        fresh: memory begins anew with it: what stands before it is shown, and not known to the model.
        kind: "passage" for a part of a text that is read as it stands.
        origin: id of the message that it is another form of: a copy, an edit, a reply that went on.
        rest: what stood after the cursor of a text; no model has read it.
        thought_seconds: how long it was thought about; 0 where nobody knows.
    """

    id: str
    parent: str | None
    message: ChatMessage
    tokens: TokenIds | None = None
    prefix: str | None = None
    status: NodeStatus = "complete"
    model: str = ""
    template: str = ""
    created: float = 0.0
    seed: int | None = None
    mode: str = ""
    deleted: float | None = None
    bookmark: str | None = None
    pinned: bool = False
    fresh: bool = False
    kind: NodeKind = ""
    origin: str | None = None
    rest: str = ""
    thought_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation's name and where it stands.

    Attributes:
        tip: id of the last node, None while empty.
        model, template: id of the model that it spoke with last, and how ("" until the first one).
        chosen_template: a template chosen for it ("" for the model's own).
        mode: the think mode chosen for it ("" for the usual one).
        keep_reasoning: the model remembers what it thought, not only what it answered.
        deleted: when it was deleted (seconds since the epoch), None while alive.
        kind: "text" for raw completion, "reading" for a text that is read in the background.
        pinned, archived: since when, None for not.
        branched_from: id of the conversation that it was branched from, "" for none.
        persona: id of the persona that it began from, "" for none.
        initial: the state from outside that its chain begins from, "" for none.
        adapter: the one that it speaks with where the model in use is the adapter's, "" for none.
        sampling: what differs from the model's own sampling in it, by field of `SamplingParams`.
        held: the state at its tip is never given up.
    """

    id: str
    title: str
    tip: str | None
    model: str = ""
    template: str = ""
    created: float = 0.0
    updated: float = 0.0
    deleted: float | None = None
    chosen_template: str = ""
    mode: str = ""
    keep_reasoning: bool = False
    kind: ThreadKind = "chat"
    pinned: float | None = None
    archived: float | None = None
    branched_from: str = ""
    persona: str = ""
    initial: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    held: bool = False
    adapter: str = ""


def unbegun(template: str = "", mode: str = "", *, keep_reasoning: bool = False) -> Thread:
    """A conversation that is not there yet, with what was chosen for it (see `Thread`)."""
    return Thread("", "", None, chosen_template=template, mode=mode, keep_reasoning=keep_reasoning)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread with the messages from its root to its tip."""

    thread: Thread
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A thread with every message of its tree.

    Attributes:
        nodes: all branches; a message stands after the one that it follows, unless clocks went backwards.
        path: the messages from the root to the tip.
    """

    thread: Thread
    nodes: tuple[Node, ...]
    path: tuple[Node, ...] = ()
