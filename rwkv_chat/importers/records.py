"""The records of a file: elements of a JSON array, wherever it stands, or JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Skipped
from rwkv_chat.importers.json_stream import Broken, Cut, JsonStream
from rwkv_chat.importers.sample import sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.importers.sources import Source
    from rwkv_chat.importers.text_file import Text

Record = dict[str, Any]
_DECODER = json.JSONDecoder()


def records(source: Source, under: str = "") -> Iterator[Record | Skipped]:
    """One object after the other, and what was left out.

    Args:
        under: the member of the outermost object that holds the array, where that is no record itself.
    """
    first = sample(source)
    with source.text() as text:
        if first.lined:
            yield from _lines(text, source)
            return
        stream = JsonStream(text.piece)
        inside = under if isinstance(first.root, dict) and under in first.root else ""
        yield from _objects(_values(stream, inside), source)
        if stream.cut:
            yield Skipped("truncated", source.name)


def _values(stream: JsonStream, under: str) -> Iterator[Any]:
    try:
        while sign := stream.peek():
            if sign == "{" and under:
                for member in stream.members():
                    if member == under:
                        yield from (stream.value() for _ in stream.elements())
            elif sign == "[":
                yield from (stream.value() for _ in stream.elements())
            else:
                yield stream.value()
            if stream.cut:
                return
    except Cut:
        stream.cut = True


def _objects(found: Iterator[Any], source: Source) -> Iterator[Record | Skipped]:
    for number, each in enumerate(found):
        where = f"{source.name}[{number}]"
        if isinstance(each, dict):
            yield each
        elif isinstance(each, Broken):
            yield Skipped("too-large" if each.reason == "too-large" else "bad-record", where)
        else:
            yield Skipped("bad-record", where)


def _lines(text: Text, source: Source) -> Iterator[Record | Skipped]:
    for number, line in enumerate(text.lines(), 1):
        yield from _line(line, f"{source.name}:{number}")
    if text.too_long:
        yield Skipped("too-large", source.name, text.too_long)


def _line(line: str, where: str) -> Iterator[Record | Skipped]:
    """Its objects: mostly one, but some programs forget to end a line."""
    line = line.strip().strip("\0")
    at = 0
    while at < len(line):
        try:
            found, at = _DECODER.raw_decode(line, at)
        except (ValueError, RecursionError):
            yield Skipped("bad-record", where)
            return
        yield found if isinstance(found, dict) else Skipped("bad-record", where)
        at += len(line) - at - len(line[at:].lstrip(" \t,"))
