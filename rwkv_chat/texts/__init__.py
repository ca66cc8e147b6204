"""The text catalogue: every sentence that the program says, by dotted name, in `<language>/<part>.toml`.

    say("keys.chat.new.label")            -> "New chat"
    say("errors.ModelNotFound.what", path="x.pth")

The first component names the file, the rest the nested tables. Placeholders are `str.format` fields; the
width of one, as in `{name:<14}`, counts terminal cells. Two are filled by themselves, with the key in force
of a binding: `{key[chat.stop]}` ("Escape") and, where room is scarce, `{brief[chat.stop]}` ("Esc").
"""

from __future__ import annotations

import functools
import os
import re
import string
import unicodedata
from typing import Any, Protocol

from rwkv_chat.texts import quick

DEFAULT_LANGUAGE = "en"
HERE = os.path.dirname(__file__)  # noqa: PTH120  pathlib would be a tenth of what the help costs
COLUMN = re.compile(r"\{\w+:[<>]\d+\}")  # a place of a fixed width
KEY = re.compile(r"\{(?:key|brief)\[([\w.]+)\]\}")  # a place of a key, by the id of its binding

_spoken = [DEFAULT_LANGUAGE]  # one, the language in force
_keys: dict[str, KeysById] = {}  # the keys in force, where the interface runs: only its texts name any


class KeysById(Protocol):
    """Names of keys, by binding id."""

    def __getitem__(self, name: str, /) -> str: ...


@functools.cache
def _part(language: str, part: str) -> dict[str, Any]:
    try:  # not importlib.resources: it slows the start
        with open(f"{HERE}/{language}/{part}.toml", encoding="utf-8") as source:  # noqa: PTH123
            text = source.read()
    except FileNotFoundError:
        if language == DEFAULT_LANGUAGE:
            raise
        return {}
    found = quick.read(text)
    if found is None:
        import tomllib

        found = tomllib.loads(text)
    return found


@functools.cache
def languages() -> tuple[str, ...]:
    """Those that there are texts in, the first one ours."""
    from pathlib import Path

    there = sorted(each.name for each in Path(HERE).iterdir() if (each / "app.toml").is_file())
    return (DEFAULT_LANGUAGE, *(each for each in there if each != DEFAULT_LANGUAGE))


def named(part: str) -> dict[str, str]:
    """The names of a flat part, by their English texts."""
    return {text: f"{part}.{name}" for name, text in _part(DEFAULT_LANGUAGE, part).items()}


def use(language: str) -> None:
    """Say everything in this language from now on; what it lacks is said in English."""
    _spoken[0] = language if language in languages() else DEFAULT_LANGUAGE


def use_keys(*, key: KeysById, brief: KeysById) -> None:
    """Name the keys of bindings so from now on."""
    _keys.update(key=key, brief=brief)


def spoken() -> str:
    """The language in force."""
    return _spoken[0]


def lookup(name: str, language: str | None = None) -> str | None:
    """The raw text under a dotted name, in the language in force or a given one; None where the catalogue
    has none.
    """
    text = _find(name, language or _spoken[0])
    return _find(name, DEFAULT_LANGUAGE) if text is None and language is None else text


def _find(name: str, language: str) -> str | None:
    part, *path = name.split(".")
    found: Any = _part(language, part)
    for step in path:
        if not isinstance(found, dict) or step not in found:
            return None
        found = found[step]
    return found if isinstance(found, str) else None


def say(name: str, /, **values: object) -> str:
    """The text under a dotted name, its placeholders filled.

    Raises:
        KeyError: no such text: a bug of ours, caught by the test that walks every name.
    """
    text = lookup(name)
    if text is None:
        raise KeyError(name)
    if KEY.search(text):
        values.update(_keys)
    if not values:
        return text
    return CELLS.format(text, **values) if COLUMN.search(text) else text.format(**values)


class _Cells(string.Formatter):
    """Columns of a row ("{name:<14}") in terminal cells: a Chinese character takes two."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if not isinstance(value, str) or not format_spec:
            return super().format_field(value, format_spec)
        wide = sum(unicodedata.east_asian_width(each) in "WF" for each in value)
        return format(value, f"{format_spec[0]}{max(0, int(format_spec[1:]) - wide)}")


CELLS = _Cells()
