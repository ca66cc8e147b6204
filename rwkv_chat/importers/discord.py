"""DiscordChatExporter's JSON, one file per channel or part of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.json_stream import Broken, Cut, JsonStream
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


def fits(found: Sample) -> bool:
    root = fields(found.root)
    return "messages" in root and isinstance(root.get("channel"), dict) and "guild" in root


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """Parts of one channel, one file after the other, are one conversation."""
    line = Line(FORM)
    for source in sources:
        with source.text() as told:
            stream = JsonStream(told.piece)
            head: dict[str, Any] = {}
            try:
                for member in stream.members():
                    if member != "messages":
                        head[member] = stream.value()
                        continue
                    channel = fields(head.get("channel"))
                    if line.id != name(channel.get("id")):
                        if line.id:
                            yield from line.rest()
                        line = Line(FORM, name(channel.get("id")), _title(head))
                    yield from _messages(stream, line, source.name)
            except Cut:
                stream.cut = True
            if stream.cut:
                yield Skipped("truncated", source.name)
    yield from line.rest()


def _title(head: dict[str, Any]) -> str:
    guild, channel = (name(fields(head.get(each)).get("name")) for each in ("guild", "channel"))
    return channel if guild in ("", "Direct Messages") else f"{guild} #{channel}"


def _messages(stream: JsonStream, line: Line, where: str) -> Iterator[Conversation | Skipped]:
    for number, _ in enumerate(stream.elements()):
        raw = stream.value()
        if not isinstance(raw, dict):
            large = isinstance(raw, Broken) and raw.reason == "too-large"
            yield Skipped("too-large" if large else "bad-record", f"{where}[{number}]")
        elif raw.get("type") not in _SPOKEN:
            yield Skipped("system")
        else:
            yield from line.add(turn(raw, str(number)))


def turn(raw: dict[str, Any], fallback: str) -> Turn:
    author = fields(raw.get("author"))
    shown = name(author.get("nickname")) or name(author.get("name")) or name(author.get("id")) or "?"
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
