"""ChatGPT's export, `conversations.json` (or `-000`, `-001` …): a tree of nodes for each conversation.

The chosen branch is the way up from `current_node`; every other leaf is an alternative. An answer that
tools cut into several nodes is one turn.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.branching import arranged
from rwkv_chat.importers.forms import Attachment, Conversation, Reason, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "chatgpt"
_CITED = re.compile("\ue200[^\ue200\ue201]{0,2000}\ue201|[\ue200-\ue206]|【\\d{1,4}†[^】]{0,200}】")
_DROPPED = {
    "tether_browsing_display",
    "sonic_webpage",
    "system_error",
    "model_editable_context",
    "reasoning_recap",
}


def fits(found: Sample) -> bool:
    root = fields(found.root)
    record = next(iter(objects(root.get("conversations"))), found.record)
    return isinstance(record.get("mapping"), dict) and "inserted_at" not in record


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source, under="conversations"):
            yield from (record,) if isinstance(record, Skipped) else conversation(record, source.name)


def conversation(record: dict[str, Any], where: str) -> Iterator[Conversation | Skipped]:
    given: dict[str, tuple[str, Turn | None]] = {}
    for id_, raw in fields(record.get("mapping")).items():
        node = fields(raw)
        found = turn(fields(node.get("message")), id_) if node.get("message") else None
        if isinstance(found, str):
            yield Skipped(found, where)
        given[id_] = (name(node.get("parent")), found if isinstance(found, Turn) else None)
    turns, tip, circular = arranged(given, name(record.get("current_node")))
    if circular:
        yield Skipped("bad-record", where, circular)
    if not turns:
        yield Skipped("no-turns", where)
        return
    id_ = name(record.get("conversation_id") or record.get("id")) or next(iter(given))
    title, made = text(record.get("title")), moment(record.get("create_time"))
    yield Conversation(FORM, id_, title, turns, made, tip)


def turn(message: dict[str, Any], id_: str) -> Turn | Reason:
    """One message as a turn, or why it is none."""
    author, metadata, content = (fields(message.get(key)) for key in ("author", "metadata", "content"))
    role, kind = author.get("role"), text(content.get("content_type"))
    if kind == "user_editable_context":
        return _turn(id_, "system", _instructions(content), message)
    if role == "system" and not metadata.get("is_user_system_message"):
        return "system"
    if metadata.get("is_visually_hidden_from_conversation") or message.get("weight") == 0:
        return "hidden"
    if role == "assistant" and text(message.get("recipient")).startswith("canmore.create"):
        return _turn(id_, "assistant", _canvas(content), message)
    if role not in ("user", "assistant", "system") or message.get("recipient") not in (None, "all"):
        return "tool"
    if kind in _DROPPED:
        return "hidden"
    if kind == "thoughts":
        told = (
            f"{text(each.get('summary'))}\n{text(each.get('content'))}"
            for each in objects(content.get("thoughts"))
        )
        reasoning = "\n\n".join(each.strip() for each in told)
        return Turn(id_, "", "assistant", "", reasoning=reasoning) if reasoning.strip() else "empty"
    return _turn(id_, role, _content(content), message, _attachments(content, metadata))


def _turn(
    id_: str, role: Any, said: str, message: dict[str, Any], attached: tuple[Attachment, ...] = ()
) -> Turn | Reason:
    said = _CITED.sub("", said).strip()
    if not said and not attached:
        return "empty"
    return Turn(id_, "", role, said, moment(message.get("create_time")), attachments=attached)


def _content(content: dict[str, Any]) -> str:
    """The text of all parts: what follows a picture too."""
    parts = items(content.get("parts"))
    if not parts:
        return text(content.get("text")) or text(content.get("result"))
    return "\n".join(filter(None, (each if isinstance(each, str) else _spoken(each) for each in parts)))


def _spoken(part: object) -> str:
    told = fields(part)
    return text(told.get("text")) if told.get("content_type") == "audio_transcription" else ""


def _attachments(content: dict[str, Any], metadata: dict[str, Any]) -> tuple[Attachment, ...]:
    pictures = [
        Attachment("image")
        for each in objects(content.get("parts"))
        if each.get("content_type") == "image_asset_pointer"
    ]
    files = [Attachment("file", name(each.get("name"))) for each in objects(metadata.get("attachments"))]
    return tuple(files or pictures)


def _instructions(content: dict[str, Any]) -> str:
    return "\n\n".join(
        filter(None, (text(content.get("user_profile")), text(content.get("user_instructions"))))
    )


def _canvas(content: dict[str, Any]) -> str:
    """A document beside the chat: JSON in a message to the tool that shows it."""
    try:
        told = json.loads(_content(content))
    except (ValueError, RecursionError):
        return ""
    return text(fields(told).get("content"))
