"""One message of a conversation as rows: its name, folded thoughts, body, and a word on how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rwkv_chat.amounts import duration
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.prose.line import BLANK, Line
from rwkv_chat.tui.prose.markdown import markdown_lines
from rwkv_chat.tui.prose.wrap import literal_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rwkv_chat.tui.prose.live import LiveText

Kind = Literal["user", "assistant", "note", "error"]
Part = Literal["body", "name", "fold", "space"]
LIVE = "live"  # id of the entry that is being written
OPEN, FOLDED = "▾ ", "▸ "


@dataclass(frozen=True, slots=True)
class Entry:
    """What the transcript shows of one message.

    Attributes:
        name: who speaks; "" shows no name row.
        reasoning: a model's thinking, folded away until opened.
        thought_seconds: how long it thought, 0 where that is not known.
        ending: one phrase on how it ended ("stopped"), "" when it simply ended.
    """

    id: str
    kind: Kind
    text: str
    name: str = ""
    reasoning: str = ""
    thought_seconds: float = 0.0
    ending: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line with what the transcript must know of it: whose it is, and what a click on it does."""

    line: Line
    kind: Kind
    part: Part = "body"
    entry: str = ""


def entry_rows(entry: Entry, width: int, *, opened: bool = False) -> list[Row]:
    """All rows of an entry, ending with the space below it."""
    rows = name_rows(entry)
    if entry.reasoning.strip():
        rows += _thoughts(entry, width, opened=opened)
    rows += body_rows(entry, _body(entry, width))
    if entry.ending:
        rows += body_rows(entry, _marked(literal_lines(entry.ending, width), "muted"))
    return [*rows, space_row(entry)]


def name_rows(entry: Entry) -> list[Row]:
    if not entry.name:
        return []
    return [Row(Line(((clean(entry.name), (f"name-{entry.kind}",)),)), entry.kind, "name", entry.id)]


def body_rows(entry: Entry, lines: Iterable[Line]) -> list[Row]:
    return [Row(line, entry.kind, "body", entry.id) for line in lines]


def space_row(entry: Entry) -> Row:
    return Row(BLANK, entry.kind, "space", entry.id)


def _body(entry: Entry, width: int) -> list[Line]:
    text = clean(entry.text)
    if entry.kind == "assistant":
        return markdown_lines(text, width)
    lines = literal_lines(text, width)
    return _marked(lines, "muted") if entry.kind == "note" else lines


def _thoughts(entry: Entry, width: int, *, opened: bool) -> list[Row]:
    lines = markdown_lines(clean(entry.reasoning), width) if opened else []
    label = _thought(entry.thought_seconds, len(entry.reasoning.split()))
    return _fold(entry, label, lines, opened=opened)


def thinking_rows(entry: Entry, thoughts: LiveText, width: int, *, opened: bool) -> list[Row]:
    """Thoughts that are still growing."""
    label = say("app.transcript.thinking", time=duration(entry.thought_seconds))
    return _fold(entry, label, thoughts.lines(width) if opened else [], opened=opened)


def thought_rows(entry: Entry, thoughts: LiveText, width: int, *, opened: bool) -> list[Row]:
    """Thoughts that are at their end, above an answer that grows."""
    label = _thought(entry.thought_seconds, len(thoughts.text.split()))
    return _fold(entry, label, thoughts.lines(width) if opened else [], opened=opened)


def _thought(seconds: float, words: int) -> str:
    said = say("app.transcript.word") if words == 1 else say("app.transcript.words", count=words)
    if seconds:
        return say("app.transcript.thought", time=duration(seconds), words=said)
    return say("app.transcript.thoughts", words=said)


def _fold(entry: Entry, label: str, lines: list[Line], *, opened: bool) -> list[Row]:
    shown = ((OPEN if opened else FOLDED) + label, ("fold",))
    rows = [Row(Line((shown,)), entry.kind, "fold", entry.id)]
    return [*rows, *body_rows(entry, [*_marked(lines, "thought"), BLANK])] if opened else rows


def _marked(lines: list[Line], mark: str) -> list[Line]:
    return [replace(line, runs=tuple((text, (*marks, mark)) for text, marks in line.runs)) for line in lines]
