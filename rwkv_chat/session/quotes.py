"""Passages of a text that was read, quoted into a message: memory for details fades, the text does not."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.library import fold
from rwkv_chat.library.query import parts
from rwkv_chat.library.search import place
from rwkv_chat.paths import resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.library.search import Hit

LENGTH, BEFORE = 600, 200  # characters of a quotation; at most so many before what was found
FORM = "prompts/quote.toml"


@dataclass(frozen=True, slots=True)
class Quote:
    """A part of a passage.

    Attributes:
        thread, title: the conversation in whose tree it stands.  node: id of the passage.
        text: in one line.
    """

    thread: str
    title: str
    node: str
    text: str


def quote_of(hit: Hit, query: str) -> Quote:
    """The text around what was found, from one word's end to another's beginning."""
    text = fold.normal(hit.node.message.text)
    found = place(text, parts(query)) or 0
    begin, end = max(0, found - BEFORE), min(len(text), max(0, found - BEFORE) + LENGTH)
    begin += 0 if not begin else _to_space(text[begin:found])
    end -= 0 if end == len(text) else _to_space(text[end - 1 : found : -1])
    return Quote(hit.thread, hit.title, hit.node.id, " ".join(text[begin:end].split()))


def quoted(quotes: Sequence[Quote], question: str) -> str:
    """A message that holds the quotations before what is asked."""
    form = _form()
    told = (form["passage"].replace("{title}", each.title).replace("{text}", each.text) for each in quotes)
    return "\n".join((*told, form["question"].replace("{text}", question)))


def _to_space(text: str) -> int:
    """Characters up to the first space; none where there is no space."""
    return next((at for at, each in enumerate(text) if each.isspace()), 0)


@functools.cache
def _form() -> dict[str, str]:
    return tomllib.loads(resource(FORM).read_text(encoding="utf-8"))
