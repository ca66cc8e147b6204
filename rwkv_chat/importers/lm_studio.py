"""LM Studio's `*.conversation.json`: each message in versions, one of them selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "lm-studio"


def fits(found: Sample) -> bool:
    return any("versions" in each for each in objects(found.record.get("messages")))


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            yield from (record,) if isinstance(record, Skipped) else conversation(record, source)


def conversation(record: dict[str, Any], source: Source) -> Iterator[Conversation | Skipped]:
    made = moment(record.get("createdAt"))
    line = Line(FORM, source.name.split(".", 1)[0], text(record.get("name")), made)
    if system := _system(record).strip():
        yield from line.add(Turn("system", "", "system", system))
    for number, message in enumerate(objects(record.get("messages"))):
        versions, chosen = objects(message.get("versions")), message.get("currentlySelected")
        chosen = chosen if isinstance(chosen, int) and 0 <= chosen < len(versions) else len(versions) - 1
        for at in [chosen] + [each for each in range(len(versions)) if each != chosen]:
            found = _turn(versions[at], f"{number}.{at}") if versions else None
            if at != chosen and found is not None:
                line.beside(found)
            elif at == chosen:
                yield from line.add(found) if found else (Skipped("bad-record", f"{source.name}[{number}]"),)
    yield from line.rest()


def _system(record: dict[str, Any]) -> str:
    listed = objects(fields(record.get("perChatPredictionConfig")).get("fields"))
    told = (text(each.get("value")) for each in listed if each.get("key") == "llm.prediction.systemPrompt")
    return text(record.get("systemPrompt")) or next(told, "")


def _turn(version: dict[str, Any], id_: str) -> Turn | None:
    role = version.get("role")
    if role not in ("user", "assistant", "system"):
        return None
    said, files = _contents(version)
    thought: list[str] = []
    for step in objects(version.get("steps")):
        if step.get("type") == "contentBlock":
            words, more = _contents(step)
            thinks = fields(step.get("style")).get("type") == "thinking"
            (thought if thinks else said).extend(words)
            files += more
    return Turn(id_, "", role, _joined(said), None, None, _joined(thought), tuple(files))


def _contents(block: dict[str, Any]) -> tuple[list[str], list[Attachment]]:
    parts = objects(items(block.get("content")))
    said = [text(each.get("text")) for each in parts if each.get("type") == "text"]
    files = [
        Attachment("file", name(each.get("name") or each.get("fileName")))
        for each in parts
        if each.get("type") == "file"
    ]
    return said, files


def _joined(parts: list[str]) -> str:
    return "\n\n".join(each.strip() for each in parts if each.strip())
