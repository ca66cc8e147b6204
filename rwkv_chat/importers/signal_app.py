"""Signal through signal-export: `data.json`, one message per line; the owner is called "Me"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.placeholders import kind_of
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import items, name, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM, ME = "signal", "Me"


def fits(found: Sample) -> bool:
    return {"sender", "body", "date"} <= set(found.record)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        chat = source.folder.rpartition("/")[2] or source.around
        line = Line(FORM, f"{FORM}:{chat}" if source.folder else "", chat)
        line.owner = ME
        for number, record in enumerate(records(source)):
            if isinstance(record, Skipped):
                yield record
            elif record.get("deleted"):
                yield Skipped("deleted")
            else:
                yield from line.add(_turn(record, str(number)))
        yield from line.rest()


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
