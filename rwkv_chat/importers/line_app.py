"""LINE's chat history as text: a head, rows of dates, and `time⇥name⇥text`; a computer writes spaces."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.importers.forms import LONGEST_TEXT, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.placeholders import placeholder
from rwkv_chat.importers.times import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "line"
_HEAD = re.compile(r"\ufeff?\[LINE\]\s*(?P<title>.{0,200})")
_AFTER = "とのトーク履歴|のトーク履歴|的聊天記錄|的聊天记录"
_WITH = re.compile(rf"^(?:Chat history (?:with|in) )?\"?(?P<name>.*?)\"?(?:{_AFTER})?$")
_DATE = re.compile(
    r"(?P<y>\d{4})[./-](?P<m>\d{1,2})[./-](?P<d>\d{1,2})(?:\s?[(\uff08].{1,5}[)\uff09]|\s\S{2,12}|)\s*"
)
_HALF = "AM|PM|午前|午後|上午|下午|오전|오후"
_TIME = rf"(?:(?P<before>{_HALF})\s?)?(?P<h>\d{{1,2}}):(?P<min>\d{{2}})(?P<after>\s?(?:AM|PM))?"
_TABBED = re.compile(rf"{_TIME}\t(?P<name>[^\t]*)(?:\t(?P<text>.*))?", re.DOTALL)
_PM = ("PM", "午後", "下午", "오후")
_AM = ("AM", "午前", "上午", "오전")
_NOTICE = re.compile(r"unsent a message|メッセージの送信を取り消しました|已收回訊息")


def _spaced(other: str = "") -> re.Pattern[str]:
    """A row of a computer's: only of the name in the head is it known where it ends."""
    known = rf"{re.escape(other)}|" if other else ""
    return re.compile(rf"{_TIME} (?P<name>{known}\S+) (?P<text>.*)", re.DOTALL)


def fits(found: Sample) -> bool:
    return bool(found.lines) and bool(_HEAD.match(found.lines[0]))


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        yield from _chat(source)


@dataclass(slots=True)
class _Open:
    """A message whose lines are being collected; `quoted`: its end is a quotation mark."""

    turn: Turn
    lines: list[str]
    quoted: bool


def _chat(source: Source) -> Iterator[Conversation | Skipped]:
    line, tabbed, spaced = Line(FORM), "\t" in source.head, _spaced()
    date: tuple[int, int, int] | None = None
    open_: _Open | None = None
    names: set[str] = set()
    with source.text() as text:
        for number, row in enumerate(text.lines()):
            if number == 0 and (head := _HEAD.match(row)):
                named = _WITH.match(head["title"].strip())
                line.title = named["name"] if named else head["title"]
                spaced = _spaced(line.title)
                continue
            if date is None and number < 3 and not _DATE.fullmatch(row):
                continue  # when it was saved
            begun = (_TABBED if tabbed else spaced).fullmatch(row)
            # a quotation mark may be the person's own: then the next message of somebody known ends it
            inside = open_ is not None and open_.quoted and (begun is None or begun["name"] not in names)
            if not inside and (found := _DATE.fullmatch(row)):
                date = int(found["y"]), int(found["m"]), int(found["d"])
                continue
            if begun is None or inside:
                if open_ is None:
                    yield from (Skipped("bad-record", f"{source.name}:{number + 1}"),) if row.strip() else ()
                elif len(open_.lines) < LONGEST_TEXT // 50:
                    open_.lines.append(row)
                    open_.quoted = open_.quoted and not row.endswith('"')
                else:
                    open_.quoted = False
                continue
            yield from _closed(line, open_)
            names.add(begun["name"])
            open_ = _opened(begun, date, str(number), tabbed=tabbed)
            if open_ is None:
                yield Skipped("system")
        yield from _closed(line, open_)
    yield from line.rest()


def _opened(
    match: re.Match[str], date: tuple[int, int, int] | None, id_: str, *, tabbed: bool
) -> _Open | None:
    """None for a notice: its name is empty, or it has no text."""
    said = match["text"]
    if not match["name"].strip() or said is None or _NOTICE.search(match["name"]):
        return None
    hour, half = int(match["h"]), f"{match['before'] or ''}{match['after'] or ''}".strip()
    if half in _PM and hour < 12:
        hour += 12
    elif half in _AM and hour == 12:
        hour = 0
    when = local(*date, hour, int(match["min"])) if date else None
    quoted = tabbed and said.startswith('"') and said.count('"') % 2 == 1
    return _Open(Turn(id_, match["name"].strip(), "other", "", when), [said], quoted)


def _closed(line: Line, open_: _Open | None) -> Iterator[Conversation | Skipped]:
    if open_ is None:
        return
    said = "\n".join(open_.lines).strip()
    if "\n" in said and said.startswith('"') and said.endswith('"'):
        said = said[1:-1].replace('""', '"').strip()
    meant = placeholder(said)
    if meant == "deleted" or _NOTICE.search(said):
        yield Skipped("deleted")
    elif isinstance(meant, tuple):
        yield from line.add(replace(open_.turn, text=meant[1], attachments=(meant[0],)))
    else:
        yield from line.add(replace(open_.turn, text=said))
