"""Character.AI (through CAI Tools, or as its pages tell it), TextGen, and Agnai."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Conversation, Line, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

CAI, TEXTGEN, AGNAI = "character-ai", "textgen", "agnai"
_GREETING = "<|BEGIN-VISIBLE-CHAT|>"


def fits_cai(found: Sample) -> bool:
    record = found.record
    first = next(iter(objects(record.get("turns"))), {})
    return "histories" in fields(record.get("histories")) or "candidates" in first


def read_cai(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            if isinstance(record, Skipped):
                yield record
                continue
            for each in objects(fields(record.get("histories")).get("histories")):
                yield from _history(each)
            if objects(record.get("turns")):
                yield from _turns(record)


def _history(history: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    line = Line(CAI, name(history.get("external_id")))
    for at, each in enumerate(objects(history.get("msgs"))):
        who = fields(each.get("src"))
        author, is_human = name(who.get("name")), who.get("is_human") is True
        line.title = line.title or ("" if is_human else author)
        when = moment(each.get("created"))
        yield from line.add(
            Turn(str(at), author, "user" if is_human else "assistant", text(each.get("text")).strip(), when)
        )
    yield from line.rest()


def _turns(record: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    """Newest first; of an answer the primary candidate, the others beside it."""
    line = Line(CAI, name(record.get("chat_id")))
    for at, each in enumerate(reversed(objects(record.get("turns")))):
        who, candidates = fields(each.get("author")), objects(each.get("candidates"))
        author, role = name(who.get("name")), "user" if who.get("is_human") else "assistant"
        line.title = line.title or ("" if role == "user" else author)
        primary = each.get("primary_candidate_id")
        candidates.sort(key=lambda one: one.get("candidate_id") != primary)
        when = moment(each.get("create_time"))
        for number, one in enumerate(candidates[:100]):
            turn = Turn(f"{at}.{number}", author, role, text(one.get("raw_content")).strip(), when)
            if number:
                line.beside(turn)
            else:
                yield from line.add(turn)
    yield from line.rest()


def fits_textgen(found: Sample) -> bool:
    record = found.record
    return ("internal" in record and "visible" in record) or ("data" in record and "data_visible" in record)


def read_textgen(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            yield from (record,) if isinstance(record, Skipped) else _textgen(record, source)


def _textgen(record: dict[str, Any], source: Source) -> Iterator[Conversation | Skipped]:
    """`internal` is the text itself; `visible` is the same made safe for a page."""
    pairs = items(record.get("internal")) or items(record.get("data"))
    escaped = not pairs
    line = Line(TEXTGEN, title=source.name.rsplit(".", 1)[0])
    for number, pair in enumerate(pairs or items(record.get("visible")) or items(record.get("data_visible"))):
        if not isinstance(pair, list) or len(pair) != 2:
            yield Skipped("bad-record", f"{source.name}[{number}]")
            continue
        asked, said = (html.unescape(text(each)) if escaped else text(each) for each in pair)
        if asked.strip() and asked != _GREETING:
            yield from line.add(Turn(f"{number}.q", "", "user", asked.strip()))
        if said.strip():
            yield from line.add(Turn(f"{number}.a", "", "assistant", said.strip()))
    yield from line.rest()


def fits_agnai(found: Sample) -> bool:
    first = next(iter(objects(found.record.get("messages"))), {})
    return "msg" in first


def read_agnai(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        for record in records(source):
            if isinstance(record, Skipped):
                yield record
                continue
            line = Line(AGNAI, name(record.get("_id")), name(record.get("name")))
            for at, each in enumerate(objects(record.get("messages"))):
                role = "user" if each.get("userId") else "assistant"
                yield from line.add(
                    Turn(name(each.get("_id")) or str(at), "", role, text(each.get("msg")).strip())
                )
            yield from line.rest()
