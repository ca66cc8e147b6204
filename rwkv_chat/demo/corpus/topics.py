"""What the model teaches about the program: topics made from the real tables and the phrasings in `data/`.

A topic knows its questions (patterns, by kind of frame), its answers, and how to tell a right answer.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from typing import Any, Literal

from engine.types import SamplingParams
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.demo.corpus.grammar import data
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS

Kind = Literal["key", "command", "parameter", "fact"]

_NAMES = {"pageup": "PageUp", "pagedown": "PageDown", "escape": "Escape", "enter": "Enter"}


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
        id: "<kind>.<name>" or "does.<name>", "default.<name>", "range.<name>".
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


def shown_key(keys: str) -> str:
    """ "shift+enter,ctrl+j" → "Shift+Enter or Ctrl+J"."""
    return " or ".join(_shown_one(each) for each in keys.split(","))


def _shown_one(key: str) -> str:
    return "+".join(_NAMES.get(part, part.capitalize()) for part in key.strip().split("+"))


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


def shown_keys() -> dict[str, str]:
    """Key as shown, by binding id."""
    return {each.id: shown_key(each.keys) for each in BINDINGS}


def _fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


# ------------------------------------------------------------------------------------------------ making


def _questions(row: dict[str, Any]) -> tuple[Question, ...]:
    kinds = (("goal", "g", "goals"), ("noun", "n", "nouns"), ("about", "n", "about"))
    out = [Question(frames, slot, tuple(row[name])) for frames, slot, name in kinds if row.get(name)]
    whole = (*row.get("says", ()), *row.get("asks", ()))
    if whole:
        out.append(Question("", "", whole))
    return tuple(out)


def _key_topics() -> list[Topic]:
    out = []
    rows, keys = data("keys"), {each.id: each.keys for each in BINDINGS}
    for table, names in rows.items():
        for name, row in names.items():
            binding = f"{table}.{name}"
            key = shown_key(keys[binding])
            answers = tuple(_fill(each, {"key": key}) for each in row["answers"])
            out.append(Topic(f"key.{binding}", "key", _questions(row), answers, (key,), weight=3.0))
            asked = (Question("key_does", "k", key_spellings(keys[binding])),)
            does = tuple(row["does"])
            told = tuple(f"{key} {each}." for each in does)
            out.append(Topic(f"does.{binding}", "key", asked, told, (key,), does, weight=1.0))
    return out


def _command_topics() -> list[Topic]:
    out = []
    known = {each.name for each in COMMANDS}
    for name, row in data("commands").items():
        if name not in known:
            raise ValueError(f"no such command: {name}")
        value = (row["value"],)
        out.append(
            Topic(f"command.{name}", "command", _questions(row), tuple(row["answers"]), value, weight=3.0)
        )
        asked = (Question("command_does", "c", (f"[rwkv-chat {name}|rwkv-chat {name}|rwkv chat {name}]",)),)
        does = tuple(row["does"])
        told = tuple(f"rwkv-chat {name} {each}." for each in does)
        out.append(Topic(f"does.{name}", "command", asked, told, (f"rwkv-chat {name}",), does, weight=0.8))
    return out


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parameter_topics() -> list[Topic]:
    out = []
    declared = {each.name: each for each in fields(SamplingParams)}
    for name, row in data("parameters").items():
        names = tuple(row["names"])
        asked = (Question("parameter", "v", names), Question("", "", tuple(row["says"])))
        out.append(
            Topic(f"parameter.{name}", "parameter", asked, tuple(row["answers"]), (row["value"],), weight=1.6)
        )
        field = declared[name]
        default: Any = field.default
        if default is not None:
            out += _value_topics(name, names, default, field.metadata["min"], field.metadata["max"])
    return out


def _value_topics(name: str, names: tuple[str, ...], default: float, low: float, high: float) -> list[Topic]:
    label = say(f"sampling.{name}.label")
    usual = f"The usual value of {label} is {_number(default)}"
    span = f"{label} goes from {_number(low)} to {_number(high)}"
    return [
        Topic(
            f"default.{name}",
            "parameter",
            (Question("default", "v", names),),
            (f"{usual}.",),
            (usual,),
            weight=0.4,
        ),
        Topic(
            f"range.{name}", "parameter", (Question("range", "v", names),), (f"{span}.",), (span,), weight=0.4
        ),
    ]


def _fact_topics() -> list[Topic]:
    keys = shown_keys()
    out = []
    for name, row in data("facts").items():
        answers = tuple(_fill(each, keys) for each in row["answers"])
        out.append(Topic(f"fact.{name}", "fact", _questions(row), answers, tuple(row["value"]), weight=3.0))
    return out


@functools.cache
def topics() -> dict[str, Topic]:
    """Every topic by id, in the tables' order."""
    made = [*_key_topics(), *_command_topics(), *_parameter_topics(), *_fact_topics()]
    return {each.id: each for each in made}
