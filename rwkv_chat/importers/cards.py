"""Character cards: JSON, or JSON inside of a PNG's text chunks. What comes of one is a conversation that
begins with who the character is, its examples, and its greeting; other greetings stand beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Conversation, Line, Refused, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "character-card"
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST = 1 << 24  # bytes of a card
_KEYS = ("ccv3", "chara")  # the newer one first
_SLOT = re.compile(r"\{\{(user|char)\}\}|<(USER|BOT)>", re.IGNORECASE)
USER = "User"
_SYSTEM = ("system_prompt", "description", "personality", "scenario")


def fits(found: Sample) -> bool:
    record = found.record
    data = fields(record.get("data")) or record
    return text(record.get("spec")).startswith("chara_card") or ("first_mes" in data and "name" in data)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            yield from (record,) if isinstance(record, Skipped) else conversation(record)


def is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PNG)) == PNG


def read_png(path: Path) -> Iterator[Conversation | Skipped]:
    """Raises: Refused: a picture without a card."""
    with path.open("rb") as file:
        told = dict(_chunks(file.read(4 * LARGEST)))
    found = next((told[key] for key in _KEYS if key in told), None)
    if found is None:
        raise Refused("0", "picture")
    try:
        record = json.loads(base64.b64decode(found, validate=False))
    except (ValueError, RecursionError, binascii.Error):
        record = None
    if isinstance(record, dict):
        yield from conversation(record)
    else:
        yield Skipped("bad-record", path.name)


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and text of each chunk of text."""
    at = len(PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if length > LARGEST or kind == b"IEND":
            return
        key, _, rest = body.partition(b"\0")
        if kind == b"tEXt":
            yield key.decode("latin-1").lower(), rest
        elif kind == b"zTXt" and rest[:1] == b"\0":
            yield key.decode("latin-1").lower(), _unpacked(rest[1:])
        at += 12 + length


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, LARGEST)
    except zlib.error:
        return b""


def conversation(record: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    data = fields(record.get("data")) or record
    called = name(data.get("name"))
    line = Line(FORM, title=called)
    about = "\n\n".join(filter(None, (text(data.get(key)).strip() for key in _SYSTEM)))
    world = "\n".join(
        text(each.get("content")).strip()
        for each in objects(fields(data.get("character_book")).get("entries"))
        if each.get("enabled") is not False
    )
    system = _filled(
        "\n\n".join(filter(None, (about, world, text(data.get("post_history_instructions")).strip()))), called
    )
    if system:
        yield from line.add(Turn("system", "", "system", system))
    yield from _examples(line, text(data.get("mes_example")), called)
    greeting = _filled(text(data.get("first_mes")), called).strip()
    if greeting:
        yield from line.add(Turn("greeting", called, "assistant", greeting))
        for number, other in enumerate(items(data.get("alternate_greetings"))[:100]):
            line.beside(Turn(f"greeting.{number}", called, "assistant", _filled(text(other), called).strip()))
    yield from line.rest()


def _examples(line: Line, told: str, called: str) -> Iterator[Conversation | Skipped]:
    """`<START>` between them; in each, lines that begin with who speaks."""
    speaker = re.compile(r"^(\{\{user\}\}|\{\{char\}\}):[ \t]*", re.IGNORECASE | re.MULTILINE)
    for number, block in enumerate(re.split(r"<START>", told, flags=re.IGNORECASE)[:100]):
        pieces = speaker.split(block)[1:]
        for at in range(0, len(pieces) - 1, 2):
            role = "user" if pieces[at].lower() == "{{user}}" else "assistant"
            said = _filled(pieces[at + 1], called).strip()
            if said:
                yield from line.add(
                    Turn(f"example.{number}.{at}", USER if role == "user" else called, role, said)
                )


def _filled(said: str, called: str) -> str:
    return _SLOT.sub(lambda found: USER if (found[1] or found[2]).lower() == "user" else called, said)
