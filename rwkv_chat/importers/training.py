"""Sets to train on: OpenAI's messages, ShareGPT, Alpaca and preferences, RWKV's `{"text": …}`."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.records import records
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.transcript import turns_of
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rwkv_chat.importers.forms import TurnRole
    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

OPENAI, SHAREGPT, ALPACA, RWKV = "openai", "sharegpt", "alpaca", "rwkv"
_ROLES: dict[str, TurnRole] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_call": "tool",
    "tool_call": "tool",
}
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_TAGS = re.compile(r"</(?:p|div|li|ul|ol|pre|code|span|h\d)>|<br\s?/?>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{1,500}>")
MANY_TAGS = 2


def _each(
    one: Callable[[dict[str, Any]], Iterator[Conversation | Skipped]], under: str
) -> Callable[..., Any]:
    def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
        for source in sources:
            for record in records(source, under=under):
                yield from (record,) if isinstance(record, Skipped) else one(record)

    return read


# ------------------------------------------------------------------------------------------------ OpenAI


def _listed(record: dict[str, Any]) -> list[dict[str, Any]]:
    return objects(record.get("messages")) or objects(fields(record.get("chat")).get("messages"))


def fits_openai(found: Sample) -> bool:
    first = next(iter(_listed(found.record)), {})
    return ("role" in first and "content" in first) or fits_bare(found)


def fits_bare(found: Sample) -> bool:
    """The messages of one conversation without anything around them."""
    return "role" in found.record and "content" in found.record


def read_openai(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        bare, number = Line(OPENAI, title=source.name.rsplit(".", 1)[0]), 0
        for record in records(source, under="conversations"):
            if isinstance(record, Skipped):
                yield record
            elif "role" in record:
                yield from _message(bare, record, str(number))
                number += 1
            else:
                yield from openai(record)
        yield from bare.rest() if number else ()


def _refused(record: dict[str, Any]) -> bool:
    """An answer that somebody marked as a bad one."""
    return record.get("kto_tag") is False or record.get("label") is False


def openai(record: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    if _refused(record):
        yield Skipped("rejected")
        return
    made = moment(record.get("created_at") or record.get("create_time") or record.get("created"))
    line = Line(OPENAI, name(record.get("id")), text(record.get("title") or record.get("name")), made)
    for number, message in enumerate(_listed(record)):
        yield from _message(line, message, str(number))
    yield from line.rest()


def _message(line: Line, message: dict[str, Any], id_: str) -> Iterator[Conversation | Skipped]:
    role = _ROLES.get(text(message.get("role")).lower())
    if role is None:
        yield Skipped("bad-record")
    elif role == "tool" or (message.get("tool_calls") and not message.get("content")):
        yield Skipped("tool")
    else:
        said, attached = _content(message.get("content"))
        thought = text(message.get("reasoning_content") or message.get("reasoning"))
        made = _turn(id_, name(message.get("name")), role, said, thought, attached)
        weight = message.get("weight")
        yield from line.add(replace(made, learned=False) if weight == 0 and weight is not False else made)


def _content(content: object) -> tuple[str, tuple[Attachment, ...]]:
    if isinstance(content, str):
        return content, ()
    parts = objects(content)
    said = "\n".join(text(each.get("text")) for each in parts if "text" in each)
    return said, tuple(Attachment("image") for each in parts if "image" in text(each.get("type")))


def _turn(
    id_: str, author: str, role: TurnRole, said: str, thought: str = "", attached: tuple[Attachment, ...] = ()
) -> Turn:
    """Thoughts that stand before an answer are taken out of it."""
    if role == "assistant" and (found := _THOUGHT.match(said)):
        said, thought = said[found.end() :], thought or found[1].strip()
    return Turn(id_, author, role, said.strip(), None, None, thought, attached)


# ------------------------------------------------------------------------------------------------ ShareGPT


def fits_sharegpt(found: Sample) -> bool:
    first = next(iter(objects(found.record.get("conversations"))), {})
    return "from" in first and "value" in first


def sharegpt(record: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    """Of a preference the answer that was chosen stands beside what comes before it."""
    if _refused(record):
        yield Skipped("rejected")
        return
    line = Line(SHAREGPT, name(record.get("id")), text(record.get("title")))
    if system := text(record.get("system")).strip():
        yield from line.add(Turn("system", "", "system", system))
    chosen = fields(record.get("chosen"))
    told = objects(record.get("conversations")) + ([chosen] if chosen else [])
    for number, each in enumerate(told):
        role = _ROLES.get(text(each.get("from")).lower())
        if role is None or role == "tool":
            yield Skipped("tool" if role else "bad-record")
        else:
            yield from line.add(_turn(str(number), "", role, _plain(text(each.get("value")))))
    yield from line.rest()


def _plain(said: str) -> str:
    """Old dumps hold the page's HTML: tags go, line ends stay. Code that speaks of tags stays as it is."""
    if "```" in said or len(_TAGS.findall(said)) < MANY_TAGS:
        return said
    return html.unescape(_TAG.sub("", _TAGS.sub("\n", said)))


# ------------------------------------------------------------------------------------------------ Alpaca


def fits_alpaca(found: Sample) -> bool:
    record = found.record
    alpaca_like = "instruction" in record and ("output" in record or "response" in record)
    return (
        alpaca_like
        or "chosen" in record
        or ("prompt" in record and ("completion" in record or "response" in record))
    )


def alpaca(record: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    """Of a preference only what was chosen."""
    if _refused(record):
        yield Skipped("rejected")
        return
    if objects(record.get("chosen")) and "role" in record["chosen"][0]:
        before = objects(record.get("prompt"))
        yield from openai({"messages": before + objects(record["chosen"])})
        return
    line = Line(ALPACA, name(record.get("id")))
    asked = text(record.get("instruction") or record.get("prompt"))
    more = text(record.get("input")).strip()
    answer = (
        record.get("output") or record.get("response") or record.get("completion") or record.get("chosen")
    )
    pairs = [each for each in items(record.get("history")) if isinstance(each, list) and len(each) == 2]
    pairs.append([f"{asked.strip()}\n\n{more}".strip() if more else asked, text(answer)])
    if system := text(record.get("system")).strip():
        yield from line.add(Turn("system", "", "system", system))
    for number, (question, reply) in enumerate(pairs):
        yield from line.add(_turn(f"{number}.q", "", "user", text(question)))
        yield from line.add(_turn(f"{number}.a", "", "assistant", text(reply)))
    yield from line.rest()


# ------------------------------------------------------------------------------------------------ RWKV


def fits_rwkv(found: Sample) -> bool:
    return isinstance(found.record.get("text"), str) and len(found.record) <= 3


def rwkv(record: dict[str, Any]) -> Iterator[Conversation | Skipped]:
    """One document: turns where it has them, else all of it as one text."""
    line = Line(RWKV)
    document = text(record.get("text"))
    found = list(turns_of(document, blank_lines=True))
    if not any(role == "assistant" for role, _ in found):
        yield from line.add(Turn("0", "", "assistant", document.strip()))
    else:
        for number, (role, said) in enumerate(found):
            yield from line.add(_turn(str(number), "", role, said))
    yield from line.rest()


read_sharegpt = _each(sharegpt, "")
read_alpaca = _each(alpaca, "data")
read_rwkv = _each(rwkv, "")
