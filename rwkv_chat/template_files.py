"""Reading `prompts/templates/*.toml`, every field checked."""

from __future__ import annotations

import functools
import re
import tomllib
from typing import TYPE_CHECKING, Any

from engine.types import StopRule
from rwkv_chat.paths import resource
from rwkv_chat.templates import INPUT, PLAIN, SLOT, Cleaning, Template, TemplateInvalid, ThinkMode

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import TokenIds

FOLDER = "prompts/templates"
ROLES = ("system", "user", "assistant")


@functools.cache
def load(name: str) -> Template:
    """The shipped template called `name`. Raises: TemplateInvalid."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise TemplateInvalid(name, "name")
    return read(resource(FOLDER) / f"{name}.toml")


def shipped() -> tuple[str, ...]:
    """Names of the templates that come with the program."""
    return tuple(sorted(each.stem for each in resource(FOLDER).glob("*.toml")))


def read(path: Path) -> Template:
    """A template file, checked. Raises: TemplateInvalid."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TemplateInvalid(str(path), str(error)) from error
    try:
        return _parse(fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TemplateInvalid(str(path), f"{type(error).__name__}: {error}") from error


def _parse(fields: dict[str, Any]) -> Template:
    think = fields.get("think", {})
    return Template(
        name=_text(fields["name"]),
        title=_text(fields.get("title", "")),
        user=_turn(fields["user"]),
        assistant=_turn(fields["assistant"]),
        joiner=_text(fields["joiner"]),
        system=_turn(fields["system"]) if "system" in fields else "",
        user_with_input=_with_input(fields["user_with_input"]) if "user_with_input" in fields else "",
        opening=_text(fields.get("opening", "")),
        first_ids=_ids(fields.get("first_ids", [])),
        stop=StopRule(_ids(fields.get("stop_ids", [0])), _texts(fields.get("stop_texts", []))),
        think_open=_text(think.get("open", "")),
        think_close=_text(think.get("close", "")),
        modes=_modes(fields.get("modes", {})),
        cleaning=_cleaning(fields.get("clean", {})),
        roles=_texts(fields.get("roles", [])),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list of texts")
    return tuple(map(_text, value))


def _turn(value: object) -> str:
    if _text(value).count(SLOT) != 1:
        raise ValueError(f"{value!r} must hold {SLOT} once")
    return _text(value)


def _with_input(value: object) -> str:
    before, _, after = _turn(value).partition(SLOT)
    if INPUT in before or after.count(INPUT) != 1:
        raise ValueError(f"{value!r} must hold {INPUT} once, after {SLOT}")
    return _text(value)


def _ids(value: object) -> TokenIds:
    if not isinstance(value, list) or not all(type(each) is int and 0 <= each < 2**32 for each in value):
        raise TypeError(f"{value!r} is no list of token ids")
    return tuple(value)


def _modes(tables: dict[str, Any]) -> tuple[ThinkMode, ...]:
    """The plain mode is always there and comes first."""
    others = (name for name in tables if name != PLAIN.name)
    return PLAIN, *(_mode(name, tables[name]) for name in others)


def _mode(name: str, table: dict[str, Any]) -> ThinkMode:
    """Raises ValueError for a tail that ends in ">": that token is the model's to write."""
    mode = ThinkMode(name, _text(table.get("hint", "")), _text(table.get("tail", "")))
    if mode.tail != mode.tail.rstrip() or mode.tail.endswith(">"):
        raise ValueError(f"the tail {mode.tail!r} ends in space or in the mark's last letter")
    return mode


def _cleaning(table: dict[str, Any]) -> dict[str, Cleaning]:
    """What holds for all roles, and what a role's own table says in its place."""
    common = {name: value for name, value in table.items() if name not in ROLES}
    return {role: _clean({**common, **table.get(role, {})}) for role in ROLES}


def _clean(values: dict[str, Any]) -> Cleaning:
    made = Cleaning(**values)
    if made.blank_lines not in ("drop", "keep") or made.strip not in ("both", "end", "none"):
        raise ValueError(f"[clean] is {values!r}")
    if not isinstance(made.line_ends, bool):
        raise TypeError(f"line_ends is {made.line_ends!r}")
    return made
