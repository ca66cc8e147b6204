"""Signal through signal-export: a folder per chat with `data.json`, one message per line, and the same as
text in `chat.md`; the owner is called "Me".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.placeholders import kind_of
from rwkv_chat.importers.records import records
from rwkv_chat.importers.sample import sample
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import items, name, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM, ME = "signal", "Me"
_BEGIN = re.compile(
    r"\[(?P<when>\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})?)\] (?P<who>[^:\n]{1,100}):(?: (?P<said>.*))?",
    re.DOTALL,
)
_FILE = re.compile(r"!?\[(?P<name>[^\]\n]{0,300})\]\((?P<path>[^()\n]{1,1000})\)")
_REACTIONS = re.compile(r"\(- .{1,500} -\)$")


def fits(found: Sample) -> bool:
    return {"sender", "body", "date"} <= set(found.record) or _is_text(found)


def _is_text(found: Sample) -> bool:
    """Lines of WhatsApp may begin in the same way; but there nobody is called "Me"."""
    begun = [match for each in found.lines if (match := _BEGIN.fullmatch(each))]
    return bool(begun) and begun[0].string == found.lines[0] and any(each["who"] == ME for each in begun)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """Where both lie in a folder the text is the same once more, with less in it."""
    told = {each.folder for each in sources if not _is_text(sample(each))}
    for source in sources:
        chat = source.folder.rpartition("/")[2] or source.around
        line = Line(FORM, f"{FORM}:{chat}" if source.folder else "", chat)
        line.owner = ME
        if not _is_text(sample(source)):
            yield from _records(source, line)
        elif source.folder in told:
            yield Skipped("other-file", source.name)
            continue
        else:
            yield from _lines(source, line)
        yield from line.rest()


def _records(source: Source, line: Line) -> Iterator[Conversation | Skipped]:
    for number, record in enumerate(records(source)):
        if isinstance(record, Skipped):
            yield record
        elif record.get("deleted"):
            yield Skipped("deleted")
        else:
            yield from line.add(_turn(record, str(number)))


def _lines(source: Source, line: Line) -> Iterator[Conversation | Skipped]:
    """Lines that begin no message go on with the one before."""
    begun: re.Match[str] | None = None
    said: list[str] = []
    id_ = ""
    with source.text() as text:
        for number, row in enumerate(text.lines()):
            match = _BEGIN.fullmatch(row)
            if match is None:
                said.append(row)
                continue
            if begun is not None:
                yield from line.add(_written(begun, said, id_))
            elif "".join(said).strip():
                yield Skipped("bad-record", source.name)
            begun, said, id_ = match, [match["said"] or ""], str(number)
        if begun is not None:
            yield from line.add(_written(begun, said, id_))
        if text.too_long:
            yield Skipped("too-large", source.name, text.too_long)


def _written(begun: re.Match[str], rows: list[str], id_: str) -> Turn:
    """Files stand as links in the text, reactions at its end."""
    said = _REACTIONS.sub("", "\n".join(rows).strip()).strip()
    files = tuple(Attachment(kind_of(each["path"]), name(each["name"])) for each in _FILE.finditer(said))
    said = _FILE.sub("", said).strip() if files else said
    return Turn(id_, name(begun["who"]), "other", said, moment(begun["when"]), attachments=files)


def _turn(record: dict[str, Any], id_: str) -> Turn:
    attached = [_attachment(each) for each in items(record.get("attachments"))]
    if record.get("sticker"):
        attached.append(Attachment("sticker", name(record["sticker"])))
    if record.get("call"):
        attached.append(Attachment("call"))
    author = name(record.get("sender")) or "?"
    return Turn(
        id_,
        author,
        "other",
        text(record.get("body")).strip(),
        moment(record.get("date")),
        None,
        "",
        tuple(attached),
    )


def _attachment(told: object) -> Attachment:
    shown = (
        name(told)
        if isinstance(told, str)
        else name(told.get("name") or told.get("path"))
        if isinstance(told, dict)
        else ""
    )
    return Attachment(kind_of(shown), shown.rpartition("/")[2])
