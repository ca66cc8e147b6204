"""Tables of text: which sign parts the cells, which row has the names, and one row after the other."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from rwkv_chat.importers.forms import Conversation, Line, Lines, Skipped, Turn
from rwkv_chat.importers.times import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.forms import TurnRole
    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

PAIRS, CHAT = "csv", "csv-chat"
_SIGNS = ("\t", ";", ",")
_ASKED = {"prompt", "question", "input", "user", "instruction", "query", "human", "问题", "提问"}
_ANSWERED = {"response", "answer", "output", "assistant", "completion", "reply", "bot", "回答", "答案"}
_CONTEXT = {"system"}
_TURNS: tuple[tuple[TurnRole, set[str]], ...] = (
    ("system", _CONTEXT),
    ("user", _ASKED),
    ("assistant", _ANSWERED),
)
_WHO = {"user", "author", "sender", "from", "name", "speaker"}
_WHEN = {"date", "time", "timestamp", "createtime", "datetime"}
_SAID = {"message", "contents", "content", "text", "body"}
_WHERE = {"conversation", "channel", "chat", "thread"}
OWN = "me"  # of a data package that has its owner's messages only


def _sign(line: str) -> str:
    return max(_SIGNS, key=line.count)


def header(found: Sample) -> tuple[str, ...]:
    """The names of a table's columns; () where the first line can be none."""
    first = found.lines[0] if found.lines else ""
    if found.root is not None or len(first) > 2000 or _sign(first) not in first:
        return ()
    try:
        cells = next(csv.reader([first], delimiter=_sign(first)), [])
    except csv.Error:
        return ()
    return tuple(each.strip() for each in cells)


def rows(source: Source) -> Iterator[dict[str, str] | Skipped]:
    """Cells by the name of their column; what is missing is ""."""
    with source.text() as text:
        lines = text.lines()
        first = next(lines, "")
        sign = _sign(first)
        names = [each.strip() for each in next(csv.reader([first], delimiter=sign), [])]
        reader = csv.reader((f"{each}\n".replace("\0", "") for each in lines), delimiter=sign)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error:  # a cell without end
                yield Skipped("bad-record", source.name)
                continue
            if cells:
                yield dict(zip(names, cells + [""] * len(names), strict=False))
        if text.too_long:
            yield Skipped("too-large", source.name, text.too_long)


def _column(names: Sequence[str], wanted: set[str]) -> str:
    return next((each for each in names if each.lower() in wanted), "")


def fits(found: Sample) -> bool:
    names = header(found)
    return bool(_column(names, _ASKED) and _column(names, _ANSWERED))


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """A question and an answer in each row: each a conversation of its own."""
    for source in sources:
        for row in rows(source):
            if isinstance(row, Skipped):
                yield row
                continue
            names = tuple(row)
            line = Line(PAIRS)
            for at, (role, wanted) in enumerate(_TURNS):
                said = row.get(_column(names, wanted), "").strip()
                if said:
                    yield from line.add(Turn(str(at), "", role, said))
            yield from line.rest()


def fits_chat(found: Sample) -> bool:
    """Copilot, KakaoTalk, and Discord's own package (`ID,Timestamp,Contents,Attachments`)."""
    names = header(found)
    return len(names) >= 3 and all(_column(names, each) for each in (_WHEN, _SAID))


def read_chat(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        lines = Lines()
        for number, row in enumerate(rows(source)):
            if isinstance(row, Skipped):
                yield row
                continue
            names = tuple(row)
            where = row.get(_column(names, _WHERE), "")
            line = lines.get(where)
            if line is None:
                line = Line(CHAT, title=where or source.name.rsplit(".", 1)[0])
                yield from lines.begin(where, line)
            who, when = row.get(_column(names, _WHO), "").strip(), moment(row.get(_column(names, _WHEN), ""))
            said = row.get(_column(names, _SAID), "").strip()
            yield from line.add(Turn(str(number), who or OWN, "other", said, when))
        yield from lines.rest()
