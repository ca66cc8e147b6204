"""The beginning of a file, understood as far as it goes: what the detector looks at."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rwkv_chat.importers.sources import Source

MOST_LINES = 50
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[^\s"\[\]{},:]++|["\[\]{},:]', re.DOTALL)
_DECODER = json.JSONDecoder()
DEEPEST = 100


@dataclass(frozen=True)
class Sample:
    """
    Attributes:
        root: of a JSON file what can be read of its beginning, else None; of JSON lines, their list.
        lined: JSON lines.
        lines: of a text file, the first ones that are not blank.
        name: of the file, where content alone cannot tell (never more than a hint).
    """

    root: Any
    lined: bool
    lines: tuple[str, ...]
    name: str

    @property
    def record(self) -> dict[str, Any]:
        """The first object: of the array, or the object itself; {} for none."""
        if isinstance(self.root, list):
            return next((each for each in self.root if isinstance(each, dict)), {})
        return self.root if isinstance(self.root, dict) else {}


def sample(source: Source) -> Sample:
    head, whole = source.head, len(source.head) >= source.size
    if head.lstrip()[:1] in ("{", "["):
        listed = _lines(head, whole=whole)
        if listed is not None:
            return Sample(listed, True, (), source.name)
        root = _mended(head)
        if root is not None:
            return Sample(root, False, (), source.name)
    lines = [each.removesuffix("\r") for each in head.split("\n")]
    kept = [each for each in (lines if whole else lines[:-1] or lines) if each.strip()]
    return Sample(None, False, tuple(kept[:MOST_LINES]), source.name)


def _lines(head: str, *, whole: bool) -> list[Any] | None:
    """The objects of JSON lines; None where the first two lines are not one object each."""
    lines = [each for each in head.split("\n") if each.strip()]
    if not whole or not head.endswith("\n"):
        lines = lines[:-1] if not whole else lines
    if not lines or not lines[0].lstrip().startswith("{"):
        return None
    found = [each for each in map(_object, lines[:MOST_LINES]) if each is not None]
    single = len(lines) == 1 and whole
    return found if _object(lines[0]) is not None and not single else None


def _object(line: str) -> dict[str, Any] | None:
    try:
        found, _ = _DECODER.raw_decode(line.strip())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _mended(head: str) -> Any:
    """JSON that was cut: up to its last whole value, with all that is open closed."""
    try:
        return _DECODER.raw_decode(head.lstrip())[0]
    except (ValueError, RecursionError):
        pass
    best, closing, stack = 0, "", []
    for found in _TOKEN.finditer(head):
        sign = found[0]
        if sign == ",":  # what stands before it is whole
            best, closing = found.start(), "".join(reversed(stack))
        elif sign == '"':  # a text that goes on
            break
        elif sign in "[{":
            stack.append("]" if sign == "[" else "}")
            best, closing = found.end(), "".join(reversed(stack))
        elif sign in "]}" and stack:
            stack.pop()
            best, closing = found.end(), "".join(reversed(stack))
        if len(stack) > DEEPEST:
            break
    return _closed(head[:best] + closing)


def _closed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
