"""A reply while it streams: blocks that are closed are laid out once, only the open tail is laid out anew.

The twin is `markdown_lines` over the whole text: at the end the widget shows that, and a test compares both.
"""

from __future__ import annotations

import re

from rwkv_chat.tui.prose.code import code_rows
from rwkv_chat.tui.prose.flow import Flow
from rwkv_chat.tui.prose.line import BLANK, Line
from rwkv_chat.tui.prose.markdown import markdown_lines
from rwkv_chat.tui.prose.wrap import literal_lines

_FENCE = re.compile(r"(`{3,}|~{3,})([^`]*)$")
_ITEM = re.compile(r"[-*+] |\d{1,9}[.)] ")
_INTERRUPTS = re.compile(r"[-*+] \S|1[.)] \S|#{1,6} ")
TAIL_LIMIT = 2_000  # characters laid out anew per frame; a longer open block is cut at its last newline


class LiveText:
    """The text so far, and its lines."""

    def __init__(self) -> None:
        self.text = ""
        self._width = 0
        self._restart()

    def _restart(self) -> None:
        self._stable: list[Line] = []
        self._start = 0  # where the open block begins
        self._seen = 0  # up to here complete lines were looked at
        self._blank = False  # the last complete line was blank
        self._fence = ""  # the fence that is open at the left margin
        self._language = ""

    def grow(self, text: str) -> None:
        self.text += text

    def lines(self, width: int) -> list[Line]:
        """Every line, closed and open; `stable` of them will not change until the width does."""
        if width != self._width:
            self._width = width
            self._restart()
        self._advance()
        return [*self._stable, *self._tail()]

    @property
    def stable(self) -> int:
        return len(self._stable)

    def _advance(self) -> None:
        while (end := self.text.find("\n", self._seen)) >= 0:
            self._complete(self.text[self._seen : end], end + 1)
            self._seen = end + 1

    def _complete(self, line: str, after: int) -> None:
        """One more complete line; `after` is where the next begins."""
        if self._fence:
            self._code_line(line, after)
            return
        if line.strip() and self._begins_block(line):
            self._close(self._seen)
        opening = _FENCE.match(line) if self._start == self._seen else None
        if opening:
            self._open_fence(opening.group(1), opening.group(2).strip(), after)
        elif after - self._start > TAIL_LIMIT:
            self._close(after, literal=True)
        self._blank = not line.strip()

    def _begins_block(self, line: str) -> bool:
        if self._seen == self._start:
            return False
        if _FENCE.match(line) or _INTERRUPTS.match(line):
            return True
        in_list = bool(_ITEM.match(self.text, self._start))
        if in_list and _ITEM.match(line):
            return True
        return self._blank and not (in_list and line.startswith((" ", "\t")))

    def _close(self, end: int, *, literal: bool = False) -> None:
        """The block up to `end` is finished: lay it out for good."""
        block = self.text[self._start : end]
        body = block.strip("\n")
        if body.strip():
            self._stable += literal_lines(body, self._width) if literal else markdown_lines(body, self._width)
        if block.endswith("\n\n") and self._stable and self._stable[-1].text:
            self._stable.append(BLANK)
        self._start = end

    def _open_fence(self, fence: str, info: str, after: int) -> None:
        self._fence, self._language = fence, info.split(maxsplit=1)[0] if info else ""
        if info:
            flow = Flow(self._width)
            flow.label(info)
            flow.mark_start(0)
            self._stable += flow.lines
        self._start = after

    def _code_line(self, line: str, after: int) -> None:
        closing = line.strip()
        if closing.startswith(self._fence) and not closing.strip(self._fence[0]):
            self._fence = ""
        else:
            self._stable += self._code(line)
        self._blank = False
        self._start = after

    def _code(self, line: str) -> list[Line]:
        flow = Flow(self._width)
        for row in code_rows(line, self._language):
            flow.code_row(row)
        return flow.lines

    def _tail(self) -> list[Line]:
        tail = self.text[self._start :]
        if self._fence:
            return self._code(tail) if tail.strip("`~") else []
        if not tail.strip():
            return []
        if len(tail) > TAIL_LIMIT:
            return literal_lines(tail.strip("\n"), self._width)
        return markdown_lines(tail.strip("\n"), self._width)
