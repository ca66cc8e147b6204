"""JSON that is too large to be read whole: values are pulled from it one at a time, and a broken one costs
only itself. Nothing is kept but the value at hand.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST = 1 << 25  # characters of one value
DEEPEST = 200

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[\s,\ufeff]*")  # a comma too many, or none at all, changes nothing
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
_IN_STRING = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SCALAR = re.compile(r'[^\s,\[\]{}":]*')


class Broken:
    """In the place of a value: why there is none."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


BAD: Final = Broken("bad-record")
LARGE: Final = Broken("too-large")


class Cut(Exception):
    """The text ends inside a value."""


class JsonStream:
    """A cursor in JSON text.

        for _ in stream.elements():      # at "["
            record = stream.value()      # or go on inside of it
        for name in stream.members():    # at "{"
            …

    An element or member that is not taken is passed over. `cut`: the text ended too early.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        self._read, self._text, self._at, self._ended = read, "", 0, False
        self._dropped = 0
        self.cut = False

    def peek(self) -> str:
        """The next character of meaning, "" at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value whole, or a `Broken` in its place. Raises: Cut."""
        first = self.peek()
        if not first:
            raise Cut
        if first not in '"[{':
            return self._scalar()
        try:
            found, self._at = _DECODER.raw_decode(self._text, self._at)
        except (ValueError, RecursionError):
            return self._slowly()
        return found

    def elements(self) -> Iterator[None]:
        """Stands before each element of an array. At anything else: no elements, and it is passed over."""
        if self.peek() != "[":
            self._pass()
            return
        self._at += 1
        while (next_ := self.peek()) != "]":
            if not next_:
                self.cut = True
                return
            yield from self._stand()
            if self.cut:
                return
        self._at += 1

    def members(self) -> Iterator[str]:
        """The name of each member of an object, standing before its value."""
        if self.peek() != "{":
            self._pass()
            return
        self._at += 1
        while (next_ := self.peek()) != "}":
            name = self._name() if next_ == '"' else None
            if not next_ or self.cut:
                self.cut = True
                return
            if name is None:
                self._at += next_ not in "[{"  # neither name nor end: lost in here
                self._pass()
                continue
            for _ in self._stand():
                yield name
            if self.cut:
                return
        self._at += 1

    def _name(self) -> str | None:
        try:
            name = self.value()
            if self.peek() != ":":
                return None
        except Cut:
            self.cut = True
            return None
        self._at += 1
        return name if isinstance(name, str) else ""

    def _stand(self) -> Iterator[None]:
        """Give way to the caller; whatever it does, the place after it is another one."""
        began = self._place()
        try:
            yield
            if self._place() == began:
                self.value()
        except Cut:
            self.cut = True

    def _place(self) -> int:
        """Characters that lie behind."""
        return self._dropped + self._at

    def _pass(self) -> None:
        try:
            self.value()
        except Cut:
            self.cut = True

    # -------------------------------------------------------------- a value that does not come at once

    def _more(self) -> bool:
        if self._ended:
            return False
        piece = self._read()
        if not piece:
            self._ended = True
            return False
        self._dropped += self._at
        self._text = self._text[self._at :] + piece
        self._at = 0
        return True

    def _slowly(self) -> Any:
        """Find where the value ends, then read it: it stands across pieces, or it is broken."""
        length = self._length()
        if length is None:
            return LARGE
        piece = self._text[self._at : self._at + length]
        self._at += length
        return _read(piece)

    def _scalar(self) -> Any:
        while True:
            found = _SCALAR.match(self._text, self._at)
            end = found.end() if found else self._at
            if end - self._at > LARGEST:
                return LARGE
            if end < len(self._text) or not self._more():
                break
        end = max(end, self._at + 1)  # on any other sign too, so that there is an end
        piece, self._at = self._text[self._at : end], end
        return _read(piece)

    def _length(self) -> int | None:
        """Characters of the value at hand, all of them in `_text` then; None: too many, passed over."""
        depth, offset, deepest = 0, 0, 0
        while True:
            found = _STRUCTURE.search(self._text, self._at + offset)
            if found is None:
                offset = len(self._text) - self._at
            elif found[0] == '"':  # its end is not there yet
                offset = found.start() - self._at
            else:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
                offset = found.end() - self._at
                if depth <= 0:
                    return offset
                deepest = max(deepest, depth)
                if offset <= LARGEST and deepest <= DEEPEST:
                    continue
            if offset > LARGEST or len(self._text) - self._at > 2 * LARGEST or deepest > DEEPEST:
                return self._drop(depth, offset)
            if (found is None or found[0] == '"') and not self._more():
                self._at = len(self._text)
                raise Cut

    def _drop(self, depth: int, offset: int) -> None:
        """Go to the end of a value without keeping it."""
        self._at += offset
        while True:
            found = _STRUCTURE.search(self._text, self._at)
            if found is None:
                self._at = len(self._text)
                self._need()
            elif found[0] == '"':
                self._at = found.start() + 1
                self._drop_string()
            else:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
                self._at = found.end()
            if depth <= 0 and found is not None:
                return

    def _drop_string(self) -> None:
        while True:
            found = _IN_STRING.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._text[self._at : self._at + 1] == '"':
                self._at += 1
                return
            self._need()

    def _need(self) -> None:
        if not self._more():
            self._at = len(self._text)
            raise Cut


def _read(piece: str) -> Any:
    try:
        return json.loads(piece)
    except (ValueError, RecursionError):
        return BAD
