"""Patterns: `[a|b]` chooses, `<word>` stands for a set of synonyms, all else is literal. Choices nest.

Slots such as `{g}` are literal text here; callers replace them.
"""

from __future__ import annotations

import functools
import re
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

# a pattern's parts: literal text, or the alternatives of one choice
Part = str | tuple["Parts", ...]
Parts = tuple[Part, ...]


@functools.cache
def data(name: str) -> dict[str, Any]:
    """The table `data/<name>.toml` of this package."""
    path = files("rwkv_chat.demo.corpus") / "data" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _with_synonyms(pattern: str) -> str:
    words = data("words")
    return re.sub(r"<(\w+)>", lambda found: words[found[1]] if found[1] in words else found[0], pattern)


@functools.cache
def parse(pattern: str) -> Parts:
    """The parts of a pattern. Raises: ValueError for unbalanced brackets."""
    parts, rest = _parse(_with_synonyms(pattern), 0, inside=False)
    if rest != len(_with_synonyms(pattern)):
        raise ValueError(f"unbalanced: {pattern}")
    return parts[0]


def _parse(text: str, at: int, *, inside: bool) -> tuple[list[Parts], int]:
    """Alternatives from `at` to the closing bracket (or the end), and where that is."""
    alternatives: list[Parts] = []
    parts: list[Part] = []
    while at < len(text):
        char = text[at]
        if char == "[":
            inner, at = _parse(text, at + 1, inside=True)
            if at >= len(text):
                raise ValueError(f"unbalanced: {text}")
            parts.append(tuple(inner))
        elif char == "]":
            break
        elif char == "|" and inside:
            alternatives.append(tuple(parts))
            parts = []
        else:
            parts.append(char)
        at += 1
    alternatives.append(tuple(parts))
    return alternatives, at


def pick(pattern: str, rng: Random) -> str:
    """One text of the pattern, each choice uniform."""
    return _pick(parse(pattern), rng)


def _pick(parts: Parts, rng: Random) -> str:
    return "".join(each if isinstance(each, str) else _pick(rng.choice(each), rng) for each in parts)


def pick_one(patterns: list[str] | tuple[str, ...], rng: Random) -> str:
    """One text of one of the patterns."""
    return pick(rng.choice(patterns), rng)


def to_regex(pattern: str, slots: dict[str, str] | None = None) -> str:
    """A regular expression for every text of the pattern; `slots` gives expressions for `{name}`."""
    expression = _to_regex(parse(pattern))
    for name, inner in (slots or {}).items():
        expression = expression.replace(re.escape("{" + name + "}"), f"(?:{inner})")
    return expression


def _to_regex(parts: Parts) -> str:
    out = []
    for each in parts:
        if isinstance(each, str):
            out.append(re.escape(each))
        else:
            out.append("(?:" + "|".join(_to_regex(alternative) for alternative in each) + ")")
    return "".join(out)


def count(pattern: str) -> int:
    """How many texts a pattern has (equal ones counted each time)."""
    return _count(parse(pattern))


def _count(parts: Parts) -> int:
    total = 1
    for each in parts:
        if not isinstance(each, str):
            total *= sum(_count(alternative) for alternative in each)
    return total
