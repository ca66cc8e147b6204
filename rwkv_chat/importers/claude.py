"""Claude's export: `conversations.json` with flat messages, or newer ones that name their parents.

What was pasted into a message stands in the export as the text of a file. It is often the real question, so
that it is part of the message; where a style is to be learnt, it is somebody else's text and can be left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.branching import arranged
from rwkv_chat.importers.forms import Attachment, Conversation, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM, TYPED = "claude", "claude-typed"
_ROLES = {"human": "user", "assistant": "assistant"}
_UNSUPPORTED = re.compile(r"(?:```\s*)?This block is not supported on your current device yet\.(?:\s*```)?")
_ARTIFACT = re.compile(r"</?antArtifact\b[^>]{0,500}>")


def fits(found: Sample) -> bool:
    return isinstance(found.record.get("chat_messages"), list)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """With the text of files that were pasted."""
    yield from _read(sources, pasted=True)


def read_typed(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """What was typed alone; of a file its name."""
    yield from _read(sources, pasted=False)


def _read(sources: Sequence[Source], *, pasted: bool) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            skipped = isinstance(record, Skipped)
            yield from (record,) if skipped else conversation(record, source.name, pasted=pasted)


def conversation(
    record: dict[str, Any], where: str, *, pasted: bool = True
) -> Iterator[Conversation | Skipped]:
    messages = objects(record.get("chat_messages"))
    branching = any(text(each.get("parent_message_uuid")) for each in messages)
    given: dict[str, tuple[str, Turn | None]] = {}
    before = ""
    for number, message in enumerate(messages):
        id_ = name(message.get("uuid")) or str(number)
        found = turn(message, id_, pasted=pasted)
        if isinstance(found, Skipped):
            yield found
        parent = name(message.get("parent_message_uuid")) if branching else before
        given[id_] = (parent, found if isinstance(found, Turn) else None)
        before = id_
    turns, tip, circular = arranged(
        given, name(record.get("current_leaf_message_uuid")) or _latest(messages, before)
    )
    if circular:
        yield Skipped("bad-record", where, circular)
    if turns:
        made = moment(record.get("created_at"))
        yield Conversation(
            FORM, name(record.get("uuid")) or turns[0].id, text(record.get("name")), turns, made, tip
        )
    else:
        yield Skipped("no-turns", where)


def _latest(messages: list[dict[str, Any]], last: str) -> str:
    """The newest message, where none is said to be current; clocks that stand still leave the last one."""
    dated = [(moment(each.get("created_at")) or 0.0, at) for at, each in enumerate(messages)]
    return name(messages[max(dated)[1]].get("uuid")) or last if dated else last


def turn(message: dict[str, Any], id_: str, *, pasted: bool = True) -> Turn | Skipped:
    role = _ROLES.get(text(message.get("sender")))
    if role is None:
        return Skipped("bad-record", id_)
    blocks = objects(message.get("content"))
    said = "\n\n".join(filter(None, map(_said, blocks)))
    said = _ARTIFACT.sub("", _UNSUPPORTED.sub("", said or text(message.get("text")))).strip()
    thought = "\n\n".join(text(each.get("thinking")) for each in blocks if each.get("type") == "thinking")
    attached = tuple(_attachments(message))
    if not said and not thought and not attached:
        return Skipped("tool" if any("tool" in text(each.get("type")) for each in blocks) else "empty", id_)
    files = objects(message.get("attachments")) if pasted else []
    said = "\n\n".join(filter(None, (said, *(text(each.get("extracted_content")) for each in files))))
    return Turn(id_, "", role, said, moment(message.get("created_at")), None, thought.strip(), attached)  # type: ignore[arg-type]


def _said(block: dict[str, Any]) -> str:
    """A text, or a document that was written beside the chat: newer exports have those in calls of a tool."""
    if block.get("type") == "text":
        return text(block.get("text"))
    written = block.get("type") == "tool_use" and block.get("name") == "artifacts"
    return text(fields(block.get("input")).get("content")) if written else ""


def _attachments(message: dict[str, Any]) -> Iterator[Attachment]:
    for key in ("attachments", "files"):
        for each in objects(message.get(key)):
            yield Attachment("file", name(fields(each).get("file_name")))
