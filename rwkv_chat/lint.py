"""What is odd about a message before it is sent: it may be meant; it is told, never changed or refused."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rwkv_chat.templates import scrub
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.templates import Template

Kind = Literal[
    "trailing_space", "blank_line", "role_word", "stop_text", "think_mark", "control", "broken_text"
]
_BLANK = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class Lint:
    """One oddity.

    Attributes:
        kind: which; its sentence stands in the text catalogue under `lint.<kind>`.
        place: where it begins, in characters.  word: the text meant, "" where the kind says it all.
    """

    kind: Kind
    place: int
    word: str = ""


def lint(template: Template, text: str) -> tuple[Lint, ...]:
    """The oddities of a message, in order of their places; one of each kind and word.

    A template that cleans something away (blank lines, space at the ends) changes what the model sees; one
    that feeds it as it stands may confuse the model. Either way the person should know.
    """
    plain = scrub(text)
    found = (*_space(template, plain), *_words(template, plain), *_characters(text, plain))
    first = {(each.kind, each.word): each for each in reversed(found)}
    return tuple(sorted(first.values(), key=lambda each: (each.place, each.kind)))


def sentence(found: Lint) -> str:
    """One oddity in words."""
    return say(f"lint.{found.kind}", word=found.word)


def _space(template: Template, text: str) -> Iterator[Lint]:
    """Space at the very end, and blank lines inside, which look like a turn's end."""
    kept = text.rstrip(" \t\n")
    if kept != text and kept and template.cleaning_of("user").strip == "none":
        yield Lint("trailing_space", len(kept))
    blank = _BLANK.search(text.strip())
    if blank and template.cleaning_of("user").blank_lines == "drop" and not template.user_with_input:
        yield Lint("blank_line", blank.start() + len(text) - len(text.lstrip()))


def _words(template: Template, text: str) -> Iterator[Lint]:
    """Words that end or begin a turn for the model, and marks of thinking."""
    for role in template.roles:
        if match := re.search(rf"^[ \t]*{re.escape(role)}", text, re.MULTILINE):
            yield Lint("role_word", match.start(), role)
    for stop in template.stop.texts:
        if stop.strip() not in template.roles and (place := text.find(stop)) >= 0:
            yield Lint("stop_text", place, stop.strip())
    for mark in filter(None, (template.think_open, template.think_close)):
        if (place := text.find(mark[:-1])) >= 0:
            yield Lint("think_mark", place, mark)


def _characters(text: str, plain: str) -> Iterator[Lint]:
    """Characters that no one types, and what was no text."""
    for place, character in enumerate(plain):
        if unicodedata.category(character) == "Cc" and character not in "\n\t":
            yield Lint("control", place, f"U+{ord(character):04X}")
    if (place := plain.find("\ufffd")) >= 0 or "\ufffd" in text:
        yield Lint("broken_text", max(place, 0))
