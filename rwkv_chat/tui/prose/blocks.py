"""The parts of a Markdown text: what can be copied by itself, and where its links go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.tui.prose.markdown import parser

if TYPE_CHECKING:
    from markdown_it.token import Token

CODE = ("fence", "code_block")
_BARE = re.compile(r"https?://[^\s<>\"')\]}，。、）】」]+")
_SAFE = re.compile(r"(https?://[^/\s]|mailto:[^\s@]+@)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """One part.

    Attributes:
        source: what is copied: the lines of the text; of code, the code alone.
        language: of code; None for anything else.
    """

    source: str
    language: str | None = None


def blocks(text: str) -> list[Block]:
    """The parts of a text from top to bottom, as Markdown source."""
    lines = text.split("\n")
    return [
        Block(token.content.removesuffix("\n"), token.info.strip())
        if token.type in CODE
        else Block("\n".join(lines[token.map[0] : token.map[1]]).rstrip())
        for token in parser().parse(text)
        if token.level == 0 and token.map and token.nesting >= 0
    ]


def codes(text: str) -> list[str]:
    """Every piece of code, those in lists and quotations too, in the order in which they are drawn."""
    return [token.content.removesuffix("\n") for token in parser().parse(text) if token.type in CODE]


def links(text: str) -> list[str]:
    """Where the links of a text go, each once: to the web or an e-mail address, nowhere else."""
    found: dict[str, None] = {}
    for token in parser().parse(text):
        for each in _targets(token):
            if _SAFE.match(each) and each.isprintable():
                found.setdefault(each)
    return list(found)


def _targets(token: Token) -> list[str]:
    """Of one block: link targets, then addresses that stand bare in it."""
    inside = token.children or []
    targets = [str(each.attrs.get("href", "")) for each in inside if each.type == "link_open"]
    text = "".join(each.content for each in inside if each.type == "text")
    return [*targets, *(each.rstrip(".,;:!?") for each in _BARE.findall(text))]
