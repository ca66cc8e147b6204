"""Markdown to lines, losing nothing: HTML is text, single newlines are breaks, link targets are shown, and a
blank line stands exactly where the source has one."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.rules_inline import escape

from rwkv_chat.tui.prose import emphasis
from rwkv_chat.tui.prose.flow import Flow
from rwkv_chat.tui.prose.inline import inline_runs
from rwkv_chat.tui.prose.table import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

    from rwkv_chat.tui.prose.line import Line, Run
    from rwkv_chat.tui.prose.table import Side

ESCAPED = ("\n", *"*_`~#<>|+-.")
BULLET, QUOTE = "• ", "▎ "
SIDES: dict[str, Side] = {"text-align:center": "center", "text-align:right": "right"}
GAPPED = {
    "paragraph_open",
    "heading_open",
    "fence",
    "code_block",
    "hr",
    "table_open",
    "list_item_open",
    "blockquote_open",
}


@functools.cache
def parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough; HTML off, and no link definitions (they would vanish)."""
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("reference")
    made.inline.ruler.at("emphasis", emphasis.tokenize)
    made.inline.ruler.at("escape", _escape)
    return made


def _escape(state: StateInline, silent: bool) -> bool:
    """A backslash goes away before a mark of Markdown only: formulas and paths need theirs."""
    return state.src[state.pos + 1 : state.pos + 2] in ESCAPED and escape(state, silent)


def markdown_lines(text: str, width: int) -> list[Line]:
    """A whole text as lines of at most `width` cells."""
    walk = _Walk(text, width)
    for token in parser().parse(text):
        walk.take(token)
    return walk.flow.lines


class _Walk:
    """One pass over the block tokens."""

    def __init__(self, text: str, width: int) -> None:
        self.source = text.split("\n")
        self.flow = Flow(width)
        self.heading: tuple[str, ...] = ()
        self.rows: list[list[list[Run]]] | None = None
        self.sides: list[Side] = []

    def take(self, token: Token) -> None:
        if token.type in GAPPED and self._blank_above(token):
            self.flow.gap()
        handler = HANDLERS.get(token.type)
        if handler is not None:
            handler(self, token)

    def _blank_above(self, token: Token) -> bool:
        if not token.map or token.map[0] == 0:
            return False
        return not self.source[token.map[0] - 1].strip(" >\t")

    def inline(self, token: Token) -> None:
        runs = inline_runs(token.children or [], self.heading)
        if self.rows is None:
            self.flow.text(runs)
        else:
            self.rows[-1].append(runs)

    def heading_open(self, _: Token) -> None:
        self.heading = ("heading",)

    def heading_close(self, _: Token) -> None:
        self.heading = ()

    def code(self, token: Token) -> None:
        self.flow.code(token.content.removesuffix("\n"), token.info)

    def rule(self, _: Token) -> None:
        self.flow.rule()

    def item_open(self, token: Token) -> None:
        marker = f"{token.info}{token.markup} " if token.info else BULLET
        self.flow.push((marker, ("marker",)))

    def quote_open(self, _: Token) -> None:
        self.flow.push((QUOTE, ("quote",)), (QUOTE, ("quote",)))

    def close(self, _: Token) -> None:
        self.flow.pop()

    def table_open(self, _: Token) -> None:
        self.rows, self.sides = [], []

    def head_open(self, token: Token) -> None:
        """How a column is aligned stands at its head."""
        self.sides.append(SIDES.get(str(token.attrGet("style")), "left"))

    def row_open(self, _: Token) -> None:
        if self.rows is not None:
            self.rows.append([])

    def table_close(self, _: Token) -> None:
        rows, self.rows = self.rows, None
        for line in table_lines(rows or [[]], self.flow.room, self.sides):
            self.flow.text(line.runs)


HANDLERS: dict[str, Callable[[_Walk, Token], None]] = {
    "inline": _Walk.inline,
    "heading_open": _Walk.heading_open,
    "heading_close": _Walk.heading_close,
    "fence": _Walk.code,
    "code_block": _Walk.code,
    "hr": _Walk.rule,
    "list_item_open": _Walk.item_open,
    "list_item_close": _Walk.close,
    "blockquote_open": _Walk.quote_open,
    "blockquote_close": _Walk.close,
    "table_open": _Walk.table_open,
    "tr_open": _Walk.row_open,
    "th_open": _Walk.head_open,
    "table_close": _Walk.table_close,
}
