"""Slack's export: a folder per channel, a file per day. A thread becomes a conversation of its own."""

from __future__ import annotations

import html
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Lines, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "slack"
_SPOKEN = (None, "", "thread_broadcast", "me_message", "file_share")
_MARK = re.compile(r"<([@#!]?)([^<>|]{1,2000})(?:\|([^<>]{0,2000}))?>")


def fits(found: Sample) -> bool:
    record = found.record
    spoken = record.get("type") == "message" and "ts" in record
    return spoken or fits_people(found)


def fits_people(found: Sample) -> bool:
    """`users.json`, which names who speaks."""
    return "profile" in found.record and "id" in found.record and isinstance(found.root, list)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    people: dict[str, str] = {}
    days = []
    for source in sources:
        if source.name == "users.json":
            people |= dict(_people(source))
        else:
            days.append(source)
    for folder, files in groupby(
        sorted(days, key=lambda each: (each.folder, each.name)), lambda each: each.folder
    ):
        yield from _channel(folder, list(files), people)


def _people(source: Source) -> Iterator[tuple[str, str]]:
    for record in records(source):
        if isinstance(record, dict):
            profile = fields(record.get("profile"))
            shown = (
                profile.get("display_name"),
                profile.get("real_name"),
                record.get("real_name"),
                record.get("name"),
            )
            yield name(record.get("id")), next((name(each) for each in shown if name(each)), "?")


def _channel(folder: str, files: list[Source], people: Mapping[str, str]) -> Iterator[Conversation | Skipped]:
    title = folder.rpartition("/")[2] or files[0].around
    line, threads = Line(FORM, f"{FORM}:{folder}", title), Lines()
    for file in files:
        day: list[dict[str, Any]] = []
        for record in records(file):
            if isinstance(record, Skipped):
                yield record
            else:
                day.append(record)
        for record in sorted(day, key=lambda each: moment(each.get("ts")) or 0.0):
            if record.get("type") != "message" or record.get("subtype") not in _SPOKEN:
                yield Skipped("system")
                continue
            root = name(record.get("thread_ts"))
            within = (
                line
                if not root or (root == record.get("ts") and not record.get("reply_count"))
                else threads.get(root)
            )
            if within is None:
                within = Line(FORM, f"{FORM}:{folder}:{root}", title)
                yield from threads.begin(root, within)
            yield from within.add(turn(record, people))
    yield from line.rest()
    yield from threads.rest()


def turn(record: dict[str, Any], people: Mapping[str, str]) -> Turn:
    profile = fields(record.get("user_profile"))
    told = name(record.get("user") or record.get("bot_id"))
    author = people.get(told) or name(profile.get("display_name") or profile.get("real_name")) or told or "?"
    said = text(record.get("text")) or "\n".join(_words(objects(record.get("blocks"))))
    said = _MARK.sub(lambda found: _meant(found, people), said)
    files = tuple(Attachment("file", name(each.get("name"))) for each in objects(record.get("files")))
    ts = name(record.get("ts"))
    return Turn(
        ts, author, "other", html.unescape(said).strip(), moment(ts), None, "", files, "edited" in record
    )


def _meant(found: re.Match[str], people: Mapping[str, str]) -> str:
    sign, target, label = found.groups()
    if sign == "@":
        return "@" + (people.get(target) or label or target)
    if sign:
        return sign.replace("!", "@") + (label or target)
    return label or target


def _words(blocks: list[dict[str, Any]], depth: int = 0) -> Iterator[str]:
    """The text of blocks, where a message has nothing else."""
    if depth > 5:
        return
    for block in blocks:
        told = block.get("text")
        if told:
            yield text(told) or text(fields(told).get("text"))
        parts = objects(items(block.get("elements")))
        if parts:
            joint = "" if block.get("type") == "rich_text_section" else "\n"
            yield joint.join(_words(parts, depth + 1))
