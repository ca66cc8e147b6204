"""Telegram Desktop's `result.json`: one chat, or all of an account. Messages stream: chats last for years."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.forms import Attachment, Conversation, Kind, Line, Skipped, Turn
from rwkv_chat.importers.json_stream import Broken, Cut, JsonStream
from rwkv_chat.importers.times import moment
from rwkv_chat.importers.values import fields, items, name, objects, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "telegram"
NOBODY = "Deleted Account"  # as Telegram itself calls it
_LISTS = ("chats", "left_chats")
_KINDS: dict[str, Kind] = {
    "sticker": "sticker",
    "voice_message": "audio",
    "audio_file": "audio",
    "video_message": "video",
    "video_file": "video",
    "animation": "video",
}
_OTHERS: dict[str, Kind] = {
    "photo": "image",
    "poll": "poll",
    "location_information": "place",
    "contact_information": "contact",
    "file": "file",
}


def fits(found: Sample) -> bool:
    root = fields(found.root)
    if any("list" in fields(root.get(each)) for each in _LISTS):
        return True
    first = next(iter(objects(root.get("messages"))), {})
    return (
        "type" in root
        and "id" in root
        and ("date_unixtime" in first or "from_id" in first or "actor_id" in first)
    )


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        with source.text() as told:
            stream = JsonStream(told.piece)
            try:
                yield from _Account(source.name).read(stream)
            except Cut:
                stream.cut = True
            if stream.cut:
                yield Skipped("truncated", source.name)


class _Account:
    """The outermost object: a chat, or an account with chats and the name of who exported it."""

    def __init__(self, where: str) -> None:
        self._where, self._owner = where, ""

    def read(self, stream: JsonStream) -> Iterator[Conversation | Skipped]:
        line, head = Line(FORM), {}
        for member in stream.members():
            if member in _LISTS:
                yield from self._chats(stream)
            elif member == "messages":
                yield from self._messages(stream, _begun(line, head))
            else:
                head[member] = stream.value()
                self._owner = self._owner or _person(fields(head.get("personal_information")))
        if "messages" not in head and (head.get("type") or line.id):
            yield from _begun(line, head).rest()

    def _chats(self, stream: JsonStream) -> Iterator[Conversation | Skipped]:
        for member in stream.members():
            if member == "list":
                for _ in stream.elements():
                    yield from self._chat(stream)

    def _chat(self, stream: JsonStream) -> Iterator[Conversation | Skipped]:
        line, head = Line(FORM), {}
        for member in stream.members():
            if member == "messages":
                yield from self._messages(stream, _begun(line, head))
            else:
                head[member] = stream.value()
        yield from _begun(line, head).rest()

    def _messages(self, stream: JsonStream, line: Line) -> Iterator[Conversation | Skipped]:
        line.owner = self._owner
        for number, _ in enumerate(stream.elements()):
            raw = stream.value()
            if not isinstance(raw, dict):
                large = isinstance(raw, Broken) and raw.reason == "too-large"
                yield Skipped("too-large" if large else "bad-record", f"{self._where}[{number}]")
            elif raw.get("type") != "message":
                yield Skipped("system")
            else:
                yield from line.add(turn(raw, str(number)))


def _begun(line: Line, head: dict[str, Any]) -> Line:
    line.id = line.id or name(head.get("id"))
    saved = "Saved Messages" if head.get("type") == "saved_messages" else ""
    line.title = line.title or text(head.get("name")) or saved
    return line


def _person(told: dict[str, Any]) -> str:
    return " ".join(filter(None, (name(told.get("first_name")), name(told.get("last_name")))))


def turn(raw: dict[str, Any], fallback: str) -> Turn:
    author = name(raw.get("from")) or NOBODY
    when = moment(raw.get("date_unixtime")) or moment(raw.get("date"))
    id_ = name(raw.get("id")) or f"n{fallback}"
    return Turn(id_, author, "other", _text(raw), when, attachments=_attachments(raw), edited="edited" in raw)


def _text(raw: dict[str, Any]) -> str:
    """All its pieces: of a message with links and mentions each is an object of its own."""
    pieces = objects(raw.get("text_entities")) or items(raw.get("text"))
    if not pieces:
        return text(raw.get("text")).strip()
    return "".join(
        each if isinstance(each, str) else text(fields(each).get("text")) for each in pieces
    ).strip()


def _attachments(raw: dict[str, Any]) -> tuple[Attachment, ...]:
    kind: Kind | None = _KINDS.get(text(raw.get("media_type")))
    kind = kind or next((given for key, given in _OTHERS.items() if raw.get(key)), None)
    if kind is None:
        return ()
    if kind == "sticker":
        return (Attachment(kind, name(raw.get("sticker_emoji"))),)
    file = text(raw.get("file") or raw.get("photo"))
    left_out = file.startswith("(")  # a sentence in the place of a path
    told = name(raw.get("file_name")) or ("" if left_out else name(file.rpartition("/")[2]))
    told = told or name(fields(raw.get("poll")).get("question"))
    return (Attachment(kind, told),)
