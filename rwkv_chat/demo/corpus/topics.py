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

# Keys and commands that it is not taught yet: those of screens that show theirs at their foot, and what came
# after the corpus.
UNTAUGHT_SCOPES = (
    *("message", "edit", "presets", "replies", "writing", "books", "library", "models", "states"),
    *("settings", "log", "exact", "tune", "tune_new", "compare", "tokens"),
    *("dialog", "confirm", "manner", "help", "welcome"),
)
UNTAUGHT = frozenset(
    (
        *(f"command.{each}" for each in ("backup", "bench", "convs", "restore", "states", "verify")),
        *("command.settings", "command.tune"),
        *(f"key.{row.id}" for row in BINDINGS if row.scope in UNTAUGHT_SCOPES),
        *(f"key.chat.{each}" for each in ("messages", "undo", "redo", "first", "last", "copy_block")),
        *(f"key.chat.{each}" for each in ("edit_outside", "unfold", "plain_view", "tokens")),
        *(f"key.app.{each}" for each in ("library", "states", "settings", "tune", "interrupt")),
    )
)

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
    """

    id: str
    kind: Kind
    questions: tuple[Question, ...]
    answers: tuple[str, ...]
    value: tuple[str, ...]
    any_of: tuple[str, ...] = ()
    weight: float = 1.0

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
    modifiers = {"ctrl": "[ctrl|control|ctl|Ctrl|CTRL]", "shift": "[shift|Shift]"}
    names = {
        "escape": "[escape|esc|Esc|the escape key|ESC|Escape]",
        "enter": "[enter|return|the enter key|Enter]",
        "pageup": "[pageup|page up|pgup|PageUp|page-up]",
        "pagedown": "[pagedown|page down|pgdn|PageDown|page-down]",
    }
    *before, last = key.split("+")
    name = names.get(last, f"[{last}|{last.upper()}]")
    return "".join(modifiers[each] + "[+|+|-| | and ]" for each in before) + name


def keys_by_id() -> dict[str, str]:
    """Key as shown, by binding id."""
    return {each.id: shown_keys(each.keys) for each in BINDINGS}


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


# ------------------------------------------------------------------------------------------------ making


def _questions(topic: str, row: dict[str, Any]) -> tuple[Question, ...]:
    """The row's phrasings, with the further ones that `data/more.toml` has for the topic."""
    more = data("more").get(topic, {})
    found = {name: (*row.get(name, ()), *more.get(name, ())) for name in _PHRASINGS}
    kinds = (("goal", "g", "goals"), ("noun", "n", "nouns"), ("about", "n", "about"))
    out = [Question(frames, slot, found[name]) for frames, slot, name in kinds if found[name]]
    whole = found["says"] + found["asks"]
    return (*out, Question("", "", whole)) if whole else tuple(out)


def _weight(row: dict[str, Any]) -> float:
    """How often the row's main topic is asked: more for what is new."""
    return row.get("weight", 3.0)


def _key_topics() -> list[Topic]:
    rows, keys = data("keys"), {each.id: each.keys for each in BINDINGS}
    bindings = ((f"{table}.{name}", row) for table, names in rows.items() for name, row in names.items())
    return [topic for id_, row in bindings for topic in _of_key(id_, keys[id_], row)]


def _of_key(binding: str, keys: str, row: dict[str, Any]) -> tuple[Topic, Topic]:
    """How to do it, and what the key does."""
    shown, id_ = shown_keys(keys), f"key.{binding}"
    answers = tuple(_fill(each, {"key": shown}) for each in row["answers"])
    asked = (Question("key_does", "k", key_spellings(keys)),)
    told = tuple(f"{shown} {each}." for each in row["does"])
    return (
        Topic(id_, "key", _questions(id_, row), answers, (shown,), weight=_weight(row)),
        Topic(f"does.{binding}", "key", asked, told, (shown,), tuple(row["does"])),
    )


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
    return [_of_fact(f"fact.{name}", row) for name, row in data("facts").items()]


def _of_fact(id_: str, row: dict[str, Any]) -> Topic:
    answers = tuple(_fill(each, keys_by_id()) for each in row["answers"])
    return Topic(id_, "fact", _questions(id_, row), answers, tuple(row["value"]), weight=_weight(row))


@functools.cache
def topics() -> dict[str, Topic]:
    """Every topic by id, in the tables' order."""
    made = [*_key_topics(), *_command_topics(), *_parameter_topics(), *_fact_topics()]
    return {each.id: each for each in made}
