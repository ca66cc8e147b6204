"""Facebook Messenger and Instagram: `message_1.json` …, newest first, each text broken in the same way."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Kind, Line, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "facebook"
_KINDS: dict[str, Kind] = {
    "photos": "image",
    "videos": "video",
    "audio_files": "audio",
    "gifs": "video",
    "files": "file",
    "sticker": "sticker",
    "share": "link",
    "call_duration": "call",
}
_NUMBER = re.compile(r"(\d{1,6})\.json$")


def fits(found: Sample) -> bool:
    first = next(iter(objects(fields(found.root).get("messages"))), {})
    return "sender_name" in first and "timestamp_ms" in first


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """Files of one folder are one conversation; that with the highest number is the oldest."""
    for folder, files in groupby(sorted(sources, key=_age), lambda each: each.folder):
        line, number = Line(FORM, f"{FORM}:{folder.rpartition('/')[2]}" if folder else ""), 0
        for file in files:
            for record in records(file):
                if isinstance(record, Skipped):
                    yield record
                    continue
                line.title = repaired(text(record.get("title")))
                for each in reversed(objects(record.get("messages"))):
                    yield from (
                        (Skipped("deleted"),) if each.get("is_unsent") else line.add(_turn(each, str(number)))
                    )
                    number += 1
        yield from line.rest()


def _age(source: Source) -> tuple[str, int, str]:
    found = _NUMBER.search(source.name)
    return source.folder, -int(found[1]) if found else 0, source.name


def repaired(said: str) -> str:
    """UTF-8 that was taken for Latin-1; a text that was not stays as it is."""
    try:
        return said.encode("latin-1").decode("utf-8")
    except ValueError:
        return said


def _turn(raw: dict[str, Any], id_: str) -> Turn:
    attached = []
    for key, kind in _KINDS.items():
        if key in raw:
            named = objects(raw[key]) or [fields(raw[key])]
            attached += [Attachment(kind, name(text(each.get("uri")).rpartition("/")[2])) for each in named]
    # repaired first: some of the broken letters count as blanks
    author = name(repaired(text(raw.get("sender_name")))) or "?"
    said = repaired(text(raw.get("content"))).strip()
    return Turn(id_, author, "other", said, moment(raw.get("timestamp_ms")), None, "", tuple(attached))
