"""Open WebUI's "Export chats": a tree under `chat.history`; thoughts stand folded inside of answers."""

from __future__ import annotations

import html
import re
from dataclasses import replace
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

FORM = "open-webui"
_ROLES = ("user", "assistant", "system")
_MARK = re.compile(
    r"^[ \t]{0,3}(?P<fence>`{3,}|~{3,})|(?P<close></details>\n?)"
    r'|<details\b(?:(?=[^<>]*\stype="(?P<kind>reasoning|tool_calls|code_interpreter)"))?[^<>]*>',
    re.MULTILINE,
)
_SUMMARY = re.compile(r"<summary>.{0,500}?</summary>", re.DOTALL)


def fits(found: Sample) -> bool:
    record = found.record
    chat = fields(record.get("chat")) or record
    return bool(fields(fields(chat.get("history")).get("messages"))) or (
        "chat" in record and isinstance(chat.get("messages"), list)
    )


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            yield from (record,) if isinstance(record, Skipped) else conversation(record, source.name)


def conversation(record: dict[str, Any], where: str) -> Iterator[Conversation | Skipped]:
    chat = fields(record.get("chat")) or record
    history = fields(chat.get("history"))
    messages = fields(history.get("messages")) or dict(_flat(objects(chat.get("messages"))))
    given: dict[str, tuple[str, Turn | None]] = {}
    for id_, raw in messages.items():
        found = turn(fields(raw), id_)
        if found is None:
            yield Skipped("empty", where)
        given[id_] = (name(fields(raw).get("parentId")), found)
    turns, tip, circular = arranged(given, name(history.get("currentId")) or next(reversed(given), ""))
    if circular:
        yield Skipped("bad-record", where, circular)
    if not turns:
        yield Skipped("no-turns", where)
        return
    title = text(record.get("title")) or text(chat.get("title"))
    made = moment(record.get("created_at")) or moment(chat.get("timestamp"))
    yield Conversation(
        FORM, name(record.get("id")) or turns[0].id, title, _with_system(chat, turns), made, tip
    )


def _flat(messages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of older exports: one after the other."""
    before = ""
    for number, each in enumerate(messages):
        id_ = name(each.get("id")) or str(number)
        yield id_, each | {"parentId": before}
        before = id_


def _with_system(chat: dict[str, Any], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    said = text(chat.get("system")) or text(fields(chat.get("params")).get("system"))
    if not said.strip() or turns[0].role == "system":
        return turns
    first = Turn("system", "", "system", said.strip())
    return (first, *(each if each.parent else replace(each, parent=first.id) for each in turns))


def turn(message: dict[str, Any], id_: str) -> Turn | None:
    role = text(message.get("role"))
    said, thought = unfolded(text(message.get("content")))
    if objects(message.get("output")):
        said, thought = _responses(objects(message.get("output")), said, thought)
    files = tuple(
        Attachment("image" if each.get("type") == "image" else "file", name(each.get("name")))
        for each in objects(message.get("files"))
    )
    if role not in _ROLES or not (said or thought or files):
        return None
    return Turn(id_, "", role, said, moment(message.get("timestamp")), None, thought, files)  # type: ignore[arg-type]


def unfolded(content: str) -> tuple[str, str]:
    """The answer and the thoughts of a text; what stands in a fence of code is the answer's own."""
    said: list[str] = []
    thought: list[str] = []
    kept_from = 0
    for start, inside, end, kind in _folded(content):
        said.append(content[kept_from:start])
        kept_from = end
        if kind == "reasoning":
            thought.append(_unquoted(content[slice(*inside)]))
    said.append(content[kept_from:])
    return "".join(said).strip(), "\n\n".join(thought).strip()


def _folded(content: str) -> Iterator[tuple[int, tuple[int, int], int, str]]:
    """Where each folded part of the program's own begins, its inside, where it ends, and its kind."""
    fence, kind, depth, start, inside = "", "", 0, 0, 0
    for mark in _MARK.finditer(content):
        if depth:
            depth += -1 if mark["close"] else not mark["fence"]
            if not depth:
                yield start, (inside, mark.start()), mark.end(), kind
        elif mark["fence"]:
            fence = mark["fence"] if not fence else "" if mark["fence"].startswith(fence) else fence
        elif mark["kind"] and not fence:
            depth, start, inside, kind = 1, mark.start(), mark.end(), mark["kind"]
    if depth:  # an answer that was cut while the model thought
        yield start, (inside, len(content)), len(content), kind


def _unquoted(folded: str) -> str:
    inside = html.unescape(_SUMMARY.sub("", folded, count=1)).strip()
    return "\n".join(re.sub(r"^> ?", "", line) for line in inside.split("\n"))


def _responses(output: list[dict[str, Any]], said: str, thought: str) -> tuple[str, str]:
    """Of newer answers: items of kinds, which say more exactly what the text says too."""
    told: list[str] = []
    reasons: list[str] = []
    for each in output:
        parts = objects(items(each.get("content"))) + objects(items(each.get("summary")))
        words = "\n".join(filter(None, (text(part.get("text")) for part in parts)))
        if each.get("type") == "message":
            told.append(words)
        elif each.get("type") == "reasoning":
            reasons.append(words)
    return "\n\n".join(filter(None, told)) or said, "\n\n".join(filter(None, reasons)) or thought
