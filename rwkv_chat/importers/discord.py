"""DiscordChatExporter's JSON, one file per channel or part of one; and what Discord gives out itself: the
owner's messages alone, a folder per channel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.json_stream import Broken, Cut, JsonStream
from rwkv_chat.importers.records import records
from rwkv_chat.importers.sample import sample
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "discord"
_SPOKEN = ("Default", "Reply")
_EMOJI = re.compile(r"<a?(:\w{1,64}:)\d{1,20}>")
_MENTION = re.compile(r"<@!?(\d{1,20})>")
_PART = re.compile(r"^(.*?)(?: \[part (\d{1,6})\])?(?:\.[^.]*)?$", re.DOTALL)
_OWN = {"ID", "Timestamp", "Contents"}  # of a message in the package
ME = "me"


def fits(found: Sample) -> bool:
    root = fields(found.root)
    exported = "messages" in root and isinstance(root.get("channel"), dict) and "guild" in root
    return exported or set(found.record) >= _OWN


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """Parts of one channel, one file after the other, are one conversation."""
    line, people = None, People()
    for source in sorted(sources, key=_part):
        if set(sample(source).record) >= _OWN:
            yield from _package(source)
            continue
        with source.text() as told:
            stream = JsonStream(told.piece)
            head: dict[str, Any] = {}
            try:
                for member in stream.members():
                    if member != "messages":
                        head[member] = stream.value()
                        continue
                    channel = name(fields(head.get("channel")).get("id"))
                    if line is None or line.id != channel:
                        yield from line.rest() if line is not None else ()
                        line, people = Line(FORM, channel, _title(head)), People()
                    yield from _messages(stream, line, people, source.name)
            except Cut:
                stream.cut = True
            if stream.cut:
                yield Skipped("truncated", source.name)
    yield from line.rest() if line is not None else ()


def _part(source: Source) -> tuple[str, str, int]:
    """The first part of a channel has no number, and the tenth comes after the second."""
    found = _PART.match(source.name)
    stem, number = (found[1], found[2]) if found else (source.name, None)
    return source.folder, stem, int(number or 1)


def _package(source: Source) -> Iterator[Conversation | Skipped]:
    channel = source.folder.rpartition("/")[2]
    line = Line(FORM, f"{FORM}:{channel}" if channel else "", channel)
    line.owner = ME
    for record in records(source):
        if isinstance(record, Skipped):
            yield record
            continue
        links = text(record.get("Attachments")).split()[:100]
        files = tuple(Attachment("file", name(each.rpartition("/")[2].partition("?")[0])) for each in links)
        said, when = text(record.get("Contents")).strip(), moment(record.get("Timestamp"))
        yield from line.add(Turn(name(record.get("ID")), ME, "other", said, when, attachments=files))
    yield from line.rest()


class People:
    """Names by the id of who bears them: one person keeps the first one that was shown, and no two have the
    same.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def shown(self, author: dict[str, Any]) -> str:
        id_, own = name(author.get("id")), name(author.get("name"))
        wanted = name(author.get("nickname")) or own or id_ or "?"
        key = id_ or wanted
        if key not in self._names:
            taken = wanted in self._names.values()
            self._names[key] = f"{wanted} ({own if own not in ('', wanted) else key})" if taken else wanted
        return self._names[key]


def _title(head: dict[str, Any]) -> str:
    guild, channel = (name(fields(head.get(each)).get("name")) for each in ("guild", "channel"))
    return channel if guild in ("", "Direct Messages") else f"{guild} #{channel}"


def _messages(stream: JsonStream, line: Line, people: People, where: str) -> Iterator[Conversation | Skipped]:
    for number, _ in enumerate(stream.elements()):
        raw = stream.value()
        if not isinstance(raw, dict):
            large = isinstance(raw, Broken) and raw.reason == "too-large"
            yield Skipped("too-large" if large else "bad-record", f"{where}[{number}]")
        elif raw.get("type") not in _SPOKEN:
            yield Skipped("system")
        else:
            yield from line.add(turn(raw, people, str(number)))


def turn(raw: dict[str, Any], people: People, fallback: str) -> Turn:
    shown = people.shown(fields(raw.get("author")))
    names = {
        name(each.get("id")): name(each.get("nickname")) or name(each.get("name"))
        for each in objects(raw.get("mentions"))
    }
    said = _MENTION.sub(lambda found: "@" + names.get(found[1], found[1]), text(raw.get("content")))
    forwarded = text(fields(raw.get("forwardedMessage")).get("content"))
    said = _EMOJI.sub(r"\1", said or forwarded).strip()
    attached = [Attachment("file", name(each.get("fileName"))) for each in objects(raw.get("attachments"))]
    attached += [Attachment("sticker", name(each.get("name"))) for each in objects(raw.get("stickers"))]
    if not said and not attached and raw.get("embeds"):
        attached.append(Attachment("link"))
    id_ = name(raw.get("id")) or f"n{fallback}"
    edited = bool(raw.get("timestampEdited"))
    return Turn(
        id_, shown, "other", said, moment(raw.get("timestamp")), attachments=tuple(attached), edited=edited
    )
