"""A persona as one safetensors file: its state, and in the header as JSON what it is and what it has read.

{"format": "rwkv-chat state", "version": 1, "name", "description", "tags": […], "template", "mode",
    "sampling": {name: value}, "model_name", "coding", "messages": [{"role", "text", "reasoning", "mode",
    "kind"}, …], "tokens": [[ids of the first message], …]}

Nothing in a file that is read is believed: the key is derived from the tokens, and the state is one "from
outside", whatever it says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from engine.errors import StateCorrupt
from engine.prefix import extend
from engine.store.portable import ABOUT, name_of, portable, read_portable
from engine.types import StateKey
from rwkv_chat.importers.json_tree import LONGEST_NAME
from rwkv_chat.library.initials import Initial
from rwkv_chat.library.states import MadeState, Said, StoredPersona
from rwkv_chat.settings import fitting_sampling
from rwkv_chat.templates import names, scrub
from rwkv_chat.transcript import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.types import TokenIds
    from rwkv_chat.transcript import Role

FORMAT, VERSION = "rwkv-chat state", 1
LARGEST_ID = 1 << 32
LONGEST_DESCRIPTION = 100_000
MOST_TAGS, MOST_MESSAGES = 100, 100_000


@dataclass(frozen=True, slots=True)
class Taken:
    """A state file that was read.

    Attributes:
        file: the file as it is kept here.
    """

    persona: StoredPersona
    initial: Initial
    file: bytes


def told(persona: StoredPersona, state: MadeState) -> dict[str, object]:
    """What the header says about a persona."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": persona.name,
        "description": persona.description,
        "tags": list(persona.tags),
        "template": persona.template,
        "mode": persona.mode,
        "sampling": dict(persona.sampling),
        "model_name": state.model_name,
        "coding": state.coding,
        "messages": [_message(each) for each in persona.said],
        "tokens": [list(each) for each in state.tokens],
    }


def given_away(path: Path, key: StateKey, persona: StoredPersona, state: MadeState) -> bytes:
    """The file of a persona's state, of the one that is saved at `path`. Raises: StateCorrupt, OSError."""
    header, data = read_portable(path)
    return portable(header, data, key, told(persona, state))


def taken(path: Path) -> Taken | None:
    """A persona from a file; None where it is a state of another program.

    Raises:
        StateCorrupt: it is damaged, or not what it says.  OSError.
    """
    header, data = read_portable(path)
    if ABOUT not in header.metadata:
        return None
    try:
        about = json.loads(header.metadata[ABOUT])
        persona, state = _persona(about), _state(about, header.metadata)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateCorrupt(str(path), "what it says of itself") from error
    if len(state.tokens) != len(persona.said):
        raise StateCorrupt(str(path), "tokens and messages")
    id_ = name_of(header, data, state.prefix)
    file = portable(header, data, StateKey(state.model, state.tier, "", id_, state.prefix), None)
    state = replace(state, initial=id_, nbytes=len(file))
    length, named = sum(map(len, state.tokens)), f"{id_}.safetensors"
    made = Initial(id_, "snapshot", (named,), persona.name, state.model, state.tier, state.prefix, length)
    return Taken(replace(persona, states=(state,)), made, file)


def _persona(about: dict[str, Any]) -> StoredPersona:
    """Raises ValueError and others."""
    if about["format"] != FORMAT or about["version"] != VERSION:
        raise ValueError("format")
    tags, said = _list(about["tags"], MOST_TAGS), _list(about["messages"], MOST_MESSAGES)
    template = words(about, "template")
    return StoredPersona(
        id="",
        name=words(about, "name"),
        kind="imported",
        description=words(about, "description", LONGEST_DESCRIPTION),
        tags=tuple(_text(each, LONGEST_NAME) for each in tags),
        said=tuple(_said(each) for each in said),
        template=template if template in names() else "",  # it names a file
        mode=words(about, "mode"),
        sampling=fitting_sampling(about["sampling"]),
    )


def _state(about: dict[str, Any], said: dict[str, str]) -> MadeState:
    tokens = tuple(ids(each) for each in _list(about["tokens"], MOST_MESSAGES))
    whole = tuple(token for each in tokens for token in each)
    pending = ids(json.loads(said["pending"]))
    if len(whole) != int(said["length"]) or not pending or whole[-len(pending) :] != pending:
        raise ValueError("tokens")
    return MadeState(
        model=sha256(said["key.model"]),
        model_name=words(about, "model_name"),
        tier=_text(said["key.tier"], 16),
        coding=words(about, "coding"),
        prefix=extend(whole),
        tokens=tokens,
    )


# ------------------------------------------------------------------------------------------------ values


def _said(value: dict[str, Any]) -> Said:
    role = value["role"]
    if role not in ("system", "user", "assistant"):
        raise ValueError("role")
    message = ChatMessage(cast("Role", role), _text(value["text"]), _text(value.get("reasoning", "")))
    return Said(message, words(value, "mode"), "passage" if value.get("kind") == "passage" else "")


def _message(said: Said) -> dict[str, str]:
    of = said.message
    return {
        "role": of.role,
        "text": of.text,
        "reasoning": of.reasoning,
        "mode": said.mode,
        "kind": said.kind,
    }


def ids(value: Sequence[int]) -> TokenIds:
    """Raises: ValueError, TypeError."""
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in value):
        raise ValueError("token")
    if not all(0 <= each < LARGEST_ID for each in value):
        raise ValueError("token")
    return tuple(value)


def sha256(text: str) -> str:
    """Raises: ValueError, TypeError."""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("model")
    return text


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("list")
    return value


def words(told: dict[str, Any], name: str, most: int = LONGEST_NAME) -> str:
    """A text of a JSON object, made safe. Raises: ValueError."""
    return _text(told.get(name, ""), most)


def _text(value: Any, most: int | None = None) -> str:
    if not isinstance(value, str) or (most is not None and len(value) > most):
        raise ValueError("text")
    return scrub(value)
