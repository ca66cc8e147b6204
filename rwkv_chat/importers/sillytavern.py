"""SillyTavern's chats: a head, then one message per line; swipes are other versions of an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Conversation, Line, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "sillytavern"
_SLOT = re.compile(r"\{\{(user|char)\}\}", re.IGNORECASE)
MOST_SWIPES = 200


def fits(found: Sample) -> bool:
    record = found.record
    heads = ("user_name" in record and "character_name" in record) or "chat_metadata" in record
    return heads or ("mes" in record and "is_user" in record)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        yield from _chat(source)


def _chat(source: Source) -> Iterator[Conversation | Skipped]:
    line, user, character = Line(FORM), "User", ""
    for number, record in enumerate(records(source)):
        if isinstance(record, Skipped):
            yield record
        elif "mes" not in record:
            user = _told(record.get("user_name")) or user
            character = _told(record.get("character_name")) or character
            made = moment(record.get("create_date"))
            line.title, line.created = character, made
            line.id = f"{source.folder}/{source.name}" if character else ""
        elif record.get("is_system") or fields(record.get("extra")).get("type") == "narrator":
            yield Skipped("hidden", f"{source.name}:{number + 1}")
        else:
            character = character or ("" if record.get("is_user") else name(record.get("name")))
            yield from _message(line, record, number, (user, character))
    yield from line.rest()


def _told(value: object) -> str:
    said = name(value)
    return "" if said == "unused" else said


def _message(
    line: Line, record: dict[str, Any], number: int, names: tuple[str, str]
) -> Iterator[Conversation | Skipped]:
    is_user, author = bool(record.get("is_user")), name(record.get("name"))
    extra = fields(record.get("extra"))
    role = "user" if is_user else "assistant"
    said = _filled(_said(record.get("mes")), names)
    if not is_user and author and names[1] and author != names[1]:
        said = f"{author}: {said}"  # a group of characters
    thought = text(extra.get("reasoning")).strip()
    when = moment(record.get("send_date"))
    yield from line.add(Turn(str(number), author, role, said.strip(), when, None, thought))
    swipes = items(record.get("swipes"))[:MOST_SWIPES]
    chosen = record.get("swipe_id")
    for at, swipe in enumerate(swipes):
        words = _filled(_said(swipe), names).strip()
        if at != chosen and words != said.strip():
            line.beside(Turn(f"{number}.{at}", author, role, words, when))


def _said(value: object) -> str:
    """Chub writes objects with the text inside."""
    return text(fields(value).get("message")) if isinstance(value, dict) else text(value)


def _filled(said: str, names: tuple[str, str]) -> str:
    user, character = names
    return _SLOT.sub(lambda found: user if found[1].lower() == "user" else character or found[0], said)
