"""WeChat has no export of its own: tables that tools make (two shapes), and text copied from the window."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.importers.forms import Attachment, Conversation, Kind, Line, Lines, Skipped, Turn
from rwkv_chat.importers.placeholders import placeholder
from rwkv_chat.importers.tables import header, rows
from rwkv_chat.importers.times import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM = "wechat"
PASTE = "wechat-paste"
ME = "me"  # tables say which messages are their owner's own, not how that one is called
_NAMED_SHAPE = {"type_name", "is_sender", "talker", "msg"}  # of WeClone
_NUMBERED_SHAPE = {"type", "issender", "strcontent", "createtime"}  # of MemoTrace
_NAMED: dict[str, Kind] = {
    "图片": "image",
    "动画表情": "sticker",
    "表情": "sticker",
    "语音": "audio",
    "视频": "video",
    "文件": "file",
    "位置": "place",
    "名片": "contact",
    "语音通话": "call",
    "视频通话": "call",
    "链接": "link",
    "分享": "link",
}
_NUMBERED: dict[str, Kind] = {
    "3": "image",
    "34": "audio",
    "42": "contact",
    "43": "video",
    "47": "sticker",
    "48": "place",
    "49": "link",
    "50": "call",
}
_SYSTEM = ("系统通知", "系统消息", "10000", "10002")
_SPEAKER = re.compile(r"(wxid_\w{1,40}|[\w-]{5,40}(?:@chatroom)?):\r?\n")
_TITLE = re.compile(r"<title>(?:<!\[CDATA\[)?(.{0,2000}?)(?:\]\]>)?</title>", re.DOTALL)
_PASTED = re.compile(
    r"(?P<name>\S.{0,60}?)[ \u3000\t]+"
    r"(?P<when>\d{4}[/-]\d{1,2}[/-]\d{1,2} \d{1,2}:\d{2}(?::\d{2})?(?: ?[AP]M)?)\s*"
)


def fits(found: Sample) -> bool:
    names = {each.lower() for each in header(found)}
    return names >= _NAMED_SHAPE or names >= _NUMBERED_SHAPE


def fits_paste(found: Sample) -> bool:
    return (
        bool(found.lines)
        and bool(_PASTED.fullmatch(found.lines[0]))
        and sum(bool(_PASTED.fullmatch(each)) for each in found.lines) >= 2
    )


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """One table may hold many chats, one after the other or mixed."""
    for source in sources:
        lines, last = Lines(), ""
        for number, row in enumerate(rows(source)):
            if isinstance(row, Skipped):
                yield row
                continue
            told = {name.lower(): value for name, value in row.items()}
            last = _chat(told, last)
            line = lines.get(last)
            if line is None:
                title = told.get("remark") or told.get("nickname") or last
                line = Line(FORM, last and f"{FORM}:{last}", title)
                line.owner = ME
                yield from lines.begin(last, line)
            yield from _row(line, told, str(number))
        yield from lines.rest()


def _chat(told: Mapping[str, str], last: str) -> str:
    """Which chat a row belongs to; of the owner's own messages the named shape does not say."""
    if told.get("talkerid") or told.get("room_name"):
        return told.get("talkerid") or told["room_name"]
    own = told.get("is_sender") == "1"
    return last if own and last else told.get("talker") or last


def _row(line: Line, told: Mapping[str, str], id_: str) -> Iterator[Conversation | Skipped]:
    named = "type_name" in told
    kind = told["type_name"] if named else told.get("type", "")
    if kind in _SYSTEM:
        yield Skipped("system")
        return
    said = told.get("msg" if named else "strcontent", "")
    when = moment(told.get("createtime")) or moment(told.get("strtime"))
    mine = told.get("is_sender" if named else "issender") == "1"
    author = (
        ME
        if mine
        else told.get("talker") or told.get("remark") or told.get("nickname") or told.get("sender") or "?"
    )
    if not mine and (spoken := _SPEAKER.match(said)):  # in a group the text begins with who speaks
        author, said = told.get("remark") or told.get("nickname") or spoken[1], said[spoken.end() :]
    attached = (_NAMED if named else _NUMBERED).get(kind)
    turn = Turn(id_, author, "other", said.strip(), when)
    yield from line.add(_meant(turn, attached))


def _meant(turn: Turn, attached: Kind | None) -> Turn:
    """Links and quotations are XML with a title; of pictures and the like the text is a place on a disk."""
    if attached == "link" or turn.text.startswith(("<?xml", "<msg")):
        found = _TITLE.search(turn.text)
        return replace(turn, text=found[1].strip() if found else "", attachments=(Attachment("link"),))
    if attached is not None:
        return replace(turn, text="", attachments=(Attachment(attached),))
    meant = placeholder(turn.text)
    return replace(turn, text=meant[1], attachments=(meant[0],)) if isinstance(meant, tuple) else turn


def read_paste(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    """`Name 2023/09/16 2:51 PM`, the text below it, a blank line."""
    for source in sources:
        line, open_, said = Line(PASTE), None, []
        with source.text() as text:
            for number, row in enumerate(text.lines()):
                begun = _PASTED.fullmatch(row)
                if begun is None:
                    said.append(row)
                    continue
                if open_ is not None:
                    yield from line.add(_meant(replace(open_, text="\n".join(said).strip()), None))
                elif "".join(said).strip():
                    yield Skipped("bad-record", source.name)
                open_, said = Turn(str(number), begun["name"], "other", "", moment(begun["when"])), []
        if open_ is not None:
            yield from line.add(_meant(replace(open_, text="\n".join(said).strip()), None))
        yield from line.rest()
