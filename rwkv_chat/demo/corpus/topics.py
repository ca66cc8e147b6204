"""What the model teaches about the program: topics made from the real tables and the phrasings in `data/`.

A topic knows its questions (patterns, by kind of frame), its answers, and how to tell a right answer.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from engine.types import SamplingParams
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.demo.corpus.grammar import data
from rwkv_chat.tui.bindings import BINDINGS, shown_keys

if TYPE_CHECKING:
    from dataclasses import Field

Kind = Literal["key", "command", "parameter", "fact"]

# Keys that it is not taught, each with its reason: dialogs, questions, the help and the welcome name theirs.
UNTAUGHT_SCOPES = ("dialog", "confirm", "manner", "help", "welcome")
UNTAUGHT = frozenset(
    (
        *(f"key.{row.id}" for row in BINDINGS if row.scope in UNTAUGHT_SCOPES),
        *("key.replies.scroll_down", "key.replies.scroll_up"),  # the arrows scroll there, as everywhere
        "key.app.interrupt",  # a terminal's key: copies a selection, or stops
        "key.tune_new.mark",  # the list says it
    )
)

_KEY_TABLES = ("keys", "chat_keys", "app_keys", "message_keys", "library_keys", "tune_keys")
_FACT_TABLES = ("facts", "facts_chats")
_MORE_TABLES = ("more", "more_keys")

# What opens the part that a key belongs to; its key stands in the answer, too.
_OPENERS = {
    "message": "chat.messages",
    "exact": "chat.exact_prompt",
    "tokens": "chat.tokens",
    "library": "app.library",
    "models": "app.models",
    "states": "app.states",
    "settings": "app.settings",
    "tune": "app.tune",
}

_PHRASINGS = ("goals", "nouns", "about", "says", "asks")


@dataclass(frozen=True, slots=True)
class Question:
    """A way to ask: a list of `data/frames.toml` ("" for whole sentences), its slot, and what fills it."""

    frames: str
    slot: str
    fillers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing the model can answer.

    Attributes:
        id: "<kind>.<name>" or "does.<name>".
        value: every one of these stands in a right answer.  any_of: one of these too, if there are any.
        weight: how often it is asked in training, relative to the others.
        also: ids of further keys that its answers teach.
    """

    id: str
    kind: Kind
    questions: tuple[Question, ...]
    answers: tuple[str, ...]
    value: tuple[str, ...]
    any_of: tuple[str, ...] = ()
    weight: float = 1.0
    also: tuple[str, ...] = ()

    def accepts(self, reply: str) -> bool:
        """Whether a reply holds the right key, command or fact."""
        return all(_holds(reply, v) for v in self.value) and (
            not self.any_of or any(_holds(reply, v) for v in self.any_of)
        )


def _holds(reply: str, value: str) -> bool:
    return re.search(rf"(?<![\w+]){re.escape(value)}(?![\w+])", reply, re.IGNORECASE) is not None


# ------------------------------------------------------------------------------------------------ names


def key_spellings(keys: str) -> tuple[str, ...]:
    """How people write a key, as patterns."""
    return tuple(_spelling(each.strip()) for each in keys.split(","))


def _spelling(key: str) -> str:
    modifiers = {"ctrl": "[ctrl|control|ctl|Ctrl|CTRL]", "shift": "[shift|Shift]", "alt": "[alt|Alt|ALT]"}
    names = {
        "escape": "[escape|esc|Esc|the escape key|ESC|Escape]",
        "enter": "[enter|return|the enter key|Enter]",
        "pageup": "[pageup|page up|pgup|PageUp|page-up]",
        "pagedown": "[pagedown|page down|pgdn|PageDown|page-down]",
        "home": "[home|Home|the home key|pos1]",
        "end": "[end|End|the end key]",
    }
    *before, last = key.split("+")
    name = names.get(last, f"[{last}|{last.upper()}]")
    return "".join(modifiers[each] + "[+|+|-| | and ]" for each in before) + name


def keys_by_id() -> dict[str, str]:
    """Key as shown, by binding id."""
    return {each.id: shown_keys(each.keys) for each in BINDINGS}


def _first(shown: str) -> str:
    """The first of the keys shown: "Delete or X" -> "Delete"."""
    return shown.partition(" or ")[0]


def _fill(text: str, **values: str) -> str:
    """The text with its keys: {key} and whatever else is given, and any binding's first key by its id."""
    for name, value in (*values.items(), *((id_, _first(key)) for id_, key in keys_by_id().items())):
        text = text.replace("{" + name + "}", value)
    return text


# ------------------------------------------------------------------------------------------------ making


def _questions(topic: str, row: dict[str, Any]) -> tuple[Question, ...]:
    """The row's phrasings, with the further ones that other tables have for the topic."""
    rows = (row, *(data(table).get(topic, {}) for table in _MORE_TABLES))
    found = {name: tuple(each for part in rows for each in part.get(name, ())) for name in _PHRASINGS}
    kinds = (("goal", "g", "goals"), ("noun", "n", "nouns"), ("about", "n", "about"))
    out = [Question(frames, slot, found[name]) for frames, slot, name in kinds if found[name]]
    whole = found["says"] + found["asks"]
    return (*out, Question("", "", whole)) if whole else tuple(out)


def _weight(row: dict[str, Any]) -> float:
    """How often the row's main topic is asked: more for what is new."""
    return row.get("weight", 3.0)


def _key_topics() -> list[Topic]:
    keys = {each.id: each.keys for each in BINDINGS}
    rows = (
        (f"{part}.{name}", row)
        for table in _KEY_TABLES
        for part, names in data(table).items()
        for name, row in names.items()
    )
    return [topic for id_, row in rows for topic in _of_key(id_, keys[id_], row)]


def _of_key(binding: str, keys: str, row: dict[str, Any]) -> tuple[Topic, ...]:
    """How to do it, and what the key does, where the key does it in the chat or everywhere."""
    shown, id_ = shown_keys(keys), f"key.{binding}"
    answers = tuple(_fill(each, key=shown) for each in row["answers"])
    how = Topic(
        *(id_, "key", _questions(id_, row), answers, _key_values(binding, shown, row)),
        any_of=tuple(row.get("one_of", ())),
        weight=_weight(row),
        also=tuple(f"key.{each}" for each in row.get("also", ())),
    )
    if "does" not in row:
        return (how,)
    asked = (Question("key_does", "k", key_spellings(keys)),)
    told = tuple(f"{shown} {each}." for each in row["does"])
    return how, Topic(f"does.{binding}", "key", asked, told, (shown,), tuple(row["does"]))


def _key_values(binding: str, shown: str, row: dict[str, Any]) -> tuple[str, ...]:
    """What a right answer holds: the key as shown, that of the part it belongs to, those beside it, more."""
    known = keys_by_id()
    opener = row.get("opener", _OPENERS.get(binding.partition(".")[0], ""))
    others = (*((opener,) if opener else ()), *row.get("also", ()))
    more = (_fill(each, key=shown) for each in row.get("value", ()))
    return tuple(dict.fromkeys((shown, *(_first(known[each]) for each in others), *more)))


def _command_topics() -> list[Topic]:
    known = {each.name for each in COMMANDS}
    if unknown := set(data("commands")) - known:
        raise ValueError(f"no such command: {unknown}")
    return [topic for name, row in data("commands").items() for topic in _of_command(name, row)]


def _of_command(name: str, row: dict[str, Any]) -> tuple[Topic, Topic]:
    """How to do it, and what the command does."""
    id_, line = f"command.{name}", f"rwkv-chat {name}"
    asked = (Question("command_does", "c", (f"[{line}|{line}|rwkv chat {name}]",)),)
    told = tuple(f"{line} {each}." for each in row["does"])
    return (
        Topic(
            id_, "command", _questions(id_, row), tuple(row["answers"]), (row["value"],), weight=_weight(row)
        ),
        Topic(f"does.{name}", "command", asked, told, (line,), tuple(row["does"]), weight=0.8),
    )


def _parameter_topics() -> list[Topic]:
    declared = {each.name: each for each in fields(SamplingParams)}
    return [topic for name, row in data("parameters").items() for topic in _of_parameter(row, declared[name])]


def _of_parameter(row: dict[str, Any], field: Field[Any]) -> list[Topic]:
    """What it means; its range and its usual value, where it has them, stand in the same answer."""
    id_, names = f"parameter.{field.name}", tuple(row["names"])
    kinds = ("parameter",) if field.default is None else ("parameter", "default", "range")
    asked = (*(Question(each, "v", names) for each in kinds), *_questions(id_, row))
    told = "" if field.default is None else " " + _span(field)
    value = (row["value"],) if field.default is None else (row["value"], _span(field))
    return [Topic(id_, "parameter", asked, tuple(each + told for each in row["answers"]), value, weight=3.0)]


def _span(field: Field[Any]) -> str:
    low, high, usual = (_number(x) for x in (field.metadata["min"], field.metadata["max"], field.default))
    return f"It goes from {low} to {high}, usually {usual}."


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fact_topics() -> list[Topic]:
    return [_of_fact(f"fact.{name}", row) for each in _FACT_TABLES for name, row in data(each).items()]


def _of_fact(id_: str, row: dict[str, Any]) -> Topic:
    answers = tuple(map(_fill, row["answers"]))
    return Topic(id_, "fact", _questions(id_, row), answers, tuple(row["value"]), weight=_weight(row))


@functools.cache
def topics() -> dict[str, Topic]:
    """Every topic by id, in the tables' order."""
    made = [*_key_topics(), *_command_topics(), *_parameter_topics(), *_fact_topics()]
    return {each.id: each for each in made}


def taught_ids() -> frozenset[str]:
    """Every topic's id, and the keys that its answers teach beside it."""
    return frozenset(topics()).union(*(each.also for each in topics().values()))
