"""click's own words ("Usage", "No such option") in the language in force, and its help in terminal cells.

click asks gettext for each of its words, by the English one: here the catalogue answers. English needs none
of this, and does not import it.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.wrapping import paragraphs, wrapped
from rwkv_chat.phrases import sentences
from rwkv_chat.session.titles import width
from rwkv_chat.texts import lookup, named, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

FIRST_COLUMN = 30  # cells at most


def translate() -> None:
    """Have click say everything as the catalogue does, from now on; what that lacks is said in English."""
    for place, name, ours in places():
        setattr(place, name, ours)
    click.Context.formatter_class = CellFormatter


def places() -> Iterator[tuple[ModuleType | type, str, Callable[..., str]]]:
    """Where click's modules keep gettext's functions, and what takes their place."""
    yield click.MissingParameter, "format_message", said_missing
    for module in [each for name, each in sys.modules.items() if name.startswith("click.")]:
        yield from ((module, name, ours) for name, ours in OURS.items() if name in vars(module))


def said(english: str) -> str:
    """gettext's `gettext`."""
    name = _names().get(english)
    return (name and lookup(name)) or english


def said_of(one: str, several: str, number: int) -> str:
    """gettext's `ngettext`."""
    return said(one if number == 1 else several)


def said_missing(error: click.MissingParameter) -> str:
    """With the full stop of the language: click puts one of its own after the name of what is missing."""
    what, stop, more = _said_missing(error).partition("'.")
    return sentences(say("phrases.sentence", phrase=f"{what}'"), more.strip()) if stop else what


_said_missing = click.MissingParameter.format_message
OURS = {"_": said, "ngettext": said_of}  # by the names that click has for gettext's


@functools.cache
def _names() -> dict[str, str]:
    return named("click")


class CellFormatter(click.HelpFormatter):
    """As click's own, which counts characters: a Chinese one takes two cells, and a line may end after it."""

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        for at, lines in enumerate(paragraphs(text, self.width - self.current_indent)):
            self.write("\n" * (at > 0) + "".join(f"{indent}{line}".rstrip() + "\n" for line in lines))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = FIRST_COLUMN, col_spacing: int = 2
    ) -> None:
        rows = list(rows)
        first = min(max(width(name) for name, _ in rows), col_max) + col_spacing
        indent = " " * (self.current_indent + first)
        for name, text in rows:
            lines = wrapped(text, max(10, self.width - len(indent)))
            head = " " * self.current_indent + name
            if width(name) > first - col_spacing:
                self.write(f"{head}\n")
                head = ""
            head += " " * (len(indent) - width(head))
            self.write("\n".join([head + lines[0], *(indent + line for line in lines[1:])]).rstrip() + "\n")
