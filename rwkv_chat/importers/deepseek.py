"""DeepSeek's export: a tree of numbered nodes; the last child is the newest attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.branching import arranged
from rwkv_chat.importers.forms import Attachment, Conversation, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "deepseek"


def fits(found: Sample) -> bool:
    return isinstance(found.record.get("mapping"), dict) and "inserted_at" in found.record


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source, under="conversations"):
            yield from (record,) if isinstance(record, Skipped) else conversation(record, source.name)


def conversation(record: dict[str, Any], where: str) -> Iterator[Conversation | Skipped]:
    mapping = fields(record.get("mapping"))
    given: dict[str, tuple[str, Turn | None]] = {}
    for id_, raw in mapping.items():
        node = fields(raw)
        found = turn(fields(node.get("message")), id_)
        if found is None and node.get("message"):
            yield Skipped("empty", where)
        given[id_] = (name(node.get("parent")), found)
    turns, tip, circular = arranged(given, _newest(mapping))
    if circular:
        yield Skipped("bad-record", where, circular)
    if turns:
        made, title = moment(record.get("inserted_at")), text(record.get("title"))
        yield Conversation(FORM, name(record.get("id")) or turns[0].id, title, turns, made, tip)
    else:
        yield Skipped("no-turns", where)


def _newest(mapping: dict[str, Any]) -> str:
    """From the root along the last child of each."""
    at, seen = "root", set()
    while at in mapping and at not in seen:
        seen.add(at)
        children = [name(each) for each in items(fields(mapping[at]).get("children"))]
        if not children:
            break
        at = children[-1]
    return at


def turn(message: dict[str, Any], id_: str) -> Turn | None:
    told: dict[str, str] = {}
    for each in objects(message.get("fragments")):
        kind = text(each.get("type"))
        told[kind] = "\n\n".join(filter(None, (told.get(kind, ""), text(each.get("content")))))
    asked, said, thought = (told.get(kind, "") for kind in ("REQUEST", "RESPONSE", "THINK"))
    if not told:  # older exports
        is_user = text(message.get("role")).lower() == "user"
        content = text(message.get("content"))
        asked, said = (content, "") if is_user else ("", content)
        thought = text(message.get("reasoning_content"))
    files = tuple(Attachment("file", name(each.get("file_name"))) for each in objects(message.get("files")))
    if not (asked or said or thought or files):
        return None
    role = "assistant" if said or thought else "user"
    return Turn(id_, "", role, said or asked, moment(message.get("inserted_at")), None, thought, files)
