"""WhatsApp's "Export chat": text in the phone's own language, with dates in its own order.

A line begins a message where it begins with a date and a time; all others go on with the message before. What
is no message of a person (no colon after a name; on iOS a hidden mark before the text) is a notice.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.importers.forms import LONGEST_TEXT, Conversation, Line, Skipped, Turn
from rwkv_chat.importers.placeholders import placeholder
from rwkv_chat.importers.times import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

FORM, DAY, MONTH = "whatsapp", "whatsapp-day", "whatsapp-month"
_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
_AM = "上午|午前|오전|凌晨|早上"
_PM = "下午|午後|오후|晚上|中午"
_HALF = rf"[AaPp]\.?[ \u202f\u00a0]?[Mm]\.?|{_AM}|{_PM}"
_LINE = re.compile(
    rf"[{_MARKS}]*(?P<open>\[)?[{_MARKS}]*(?P<a>\d{{1,4}})(?P<mark>[./-])\s?(?P<b>\d{{1,2}})(?P=mark)\s?(?P<c>\d{{1,4}})\.?"
    rf"(?P<between>[^\d\]\[]{{1,20}}?)(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})(?:[:.](?P<second>\d{{2}}))?"
    rf"(?:[\s\u202f\u00a0]*(?P<half>{_HALF}))?(?:\]\s?|\s*[-–]\s)(?P<rest>.*)",
    re.DOTALL,
)
_PM_SIGN = re.compile(rf"[Pp]\.?[ \u202f\u00a0]?[Mm]|{_PM}")
_AM_SIGN = re.compile(rf"[Aa]\.?[ \u202f\u00a0]?[Mm]|{_AM}")
_HIDDEN = re.compile(rf"[{_MARKS}]+")
_EDITED_WORDS = (
    *("This message was edited", "Diese Nachricht wurde bearbeitet", r"Se editó este mensaje\.?"),
    *("Ce message a été modifié", "Mensagem editada", "Questo messaggio è stato modificato"),
    *("此消息已被编辑", "此訊息已編輯", "このメッセージは編集されました"),
)
_EDITED = re.compile(rf"[{_MARKS}]*<(?:{'|'.join(_EDITED_WORDS)})>$")
LONGEST_NAME = 100
FEW = 3  # messages that show that a colon belongs to a name
_SHARE = 0.6  # of the first lines begin a message


def fits(found: Sample) -> bool:
    begun = [bool(_LINE.match(each)) for each in found.lines]
    # a message may have many lines: one that begins it must come first all the same
    return bool(begun) and begun[0] and (sum(begun) >= _SHARE * len(begun) or sum(begun) >= FEW)


def read(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        yield from _chat(source)


def read_day_first(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        yield from _chat(source, Order(2, 1, 0))


def read_month_first(sources: Sequence[Source]) -> Iterator[Conversation | Skipped]:
    for source in sources:
        yield from _chat(source, Order(2, 0, 1))


def _chat(source: Source, told: Order | None = None) -> Iterator[Conversation | Skipped]:
    found = [match for each in source.head.split("\n") if (match := _LINE.match(each))]
    order, colons = told or date_order(found), _names_with_colons(found)
    line = Line(FORM, title=_title(source))
    line.dates = "" if order.sure else "day" if order.day == 0 else "month"
    with source.text() as text:
        for number, (match, said) in enumerate(_messages(text.lines())):
            if match is None or len(said) > LONGEST_TEXT:
                yield Skipped("bad-record" if match is None else "too-large", source.name)
                continue
            turn = _turn(match, said, order, colons, str(number))
            if isinstance(turn, Skipped):
                yield turn
            else:
                yield from line.add(turn)
        if text.too_long:
            yield Skipped("too-large", source.name, text.too_long)
    yield from line.rest()


def _title(source: Source) -> str:
    """The other's name, from the name of the file or the zip."""
    name = source.name.rsplit(".", 1)[0]
    name = source.around if name.strip("_").lower() == "chat" else name
    return re.sub(r"^WhatsApp.{0,30}?(?: with | mit | con | avec | com | - )", "", name)


def _messages(lines: Iterator[str]) -> Iterator[tuple[re.Match[str] | None, str]]:
    """The line that begins each message, and the whole of what follows the date."""
    head: re.Match[str] | None = None
    said: list[str] = []
    length = 0
    for line in lines:
        match = _LINE.match(line)
        if match is None and (head is not None or said):
            length += len(line)
            if length <= 2 * LONGEST_TEXT:
                said.append(line)
            continue
        if said:
            yield head, "\n".join(said)
        head, said, length = match, [match["rest"] if match else line], len(line)
    if said:
        yield head, "\n".join(said)


def _turn(match: re.Match[str], said: str, order: Order, colons: frozenset[str], id_: str) -> Turn | Skipped:
    author, text = _named(said, colons)
    if not author:
        return Skipped("system")
    shown, notice = _HIDDEN.sub("", text).strip(), bool(match["open"]) and text.startswith("\u200e")
    meant = placeholder(shown)
    if meant == "deleted":
        return Skipped("deleted")
    edited = _EDITED.search(shown)
    shown = shown[: edited.start()].rstrip() if edited else shown
    turn = Turn(id_, author, "other", shown, _when(match, order), edited=bool(edited))
    if isinstance(meant, tuple):
        attachment, rest = meant
        return replace(turn, text=rest, attachments=(attachment,))
    return Skipped("system") if notice and not edited else turn


def _named(said: str, colons: frozenset[str]) -> tuple[str, str]:
    """Author and text; "" for a notice. A name may have a colon in it: those are known beforehand."""
    first, sign, text = said.partition(": ")
    if not sign:
        first, sign, text = said.partition(":\n") if ":\n" in said[: LONGEST_NAME + 2] else (said, "", "")
        if not sign and said.endswith(":") and len(said) <= LONGEST_NAME:
            first, sign = said[:-1], ":"
    if not sign or len(first) > LONGEST_NAME or "\n" in first:
        return "", said
    if first in colons:
        second, sign, rest = text.partition(": ")
        if sign and len(second) <= LONGEST_NAME:
            first, text = f"{first}: {second}", rest
    return _HIDDEN.sub("", first).strip().removeprefix("~").strip("\u202f\u00a0 "), text


def _names_with_colons(found: list[re.Match[str]]) -> frozenset[str]:
    """First halves of names such as "Team: Anna": all that they say goes on with one of few second halves."""
    halves: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for match in found:
        first, sign, text = match["rest"].partition(": ")
        if sign and len(first) <= LONGEST_NAME:
            second, sign, _ = text.partition(": ")
            halves[first][second if sign else ""] += 1
    return frozenset(
        first
        for first, after in halves.items()
        if after.total() >= FEW and not after[""] and len(after) * 2 <= after.total()
    )


# ------------------------------------------------------------------------------------------------ dates


@dataclass(frozen=True, slots=True)
class Order:
    """Which of the three numbers of a date is which. `sure`: the dates themselves say so."""

    year: int
    month: int
    day: int
    sure: bool = True


def date_order(found: list[re.Match[str]]) -> Order:
    """A number above 12 is no month, and time goes forwards; where neither tells: as most of the world writes
    it, but month first with slashes and a clock of twelve hours.
    """
    dates = [(int(each["a"]), int(each["b"]), int(each["c"])) for each in found]
    if any(each[0] > 31 for each in dates):
        return Order(0, 1, 2)
    day_first, month_first = Order(2, 1, 0), Order(2, 0, 1)
    if any(each[0] > 12 for each in dates):
        return day_first
    if any(each[1] > 12 for each in dates):
        return month_first
    forwards = [_forwards(dates, each) for each in (day_first, month_first)]
    if forwards[0] != forwards[1]:
        return day_first if forwards[0] else month_first
    american = any(each["mark"] == "/" and each["half"] for each in found)
    return replace(month_first if american else day_first, sure=False)


def _forwards(dates: list[tuple[int, int, int]], order: Order) -> bool:
    told = [(each[order.year], each[order.month], each[order.day]) for each in dates]
    return told == sorted(told)


def _when(match: re.Match[str], order: Order) -> float | None:
    date = (int(match["a"]), int(match["b"]), int(match["c"]))
    year = date[order.year] + (2000 if date[order.year] < 100 else 0)
    hour, half = int(match["hour"]), (match["half"] or "") + match["between"]
    if _PM_SIGN.search(half) and hour < 12:
        hour += 12
    elif _AM_SIGN.search(half) and hour == 12:
        hour = 0
    return local(
        year, date[order.month], date[order.day], hour, int(match["minute"]), int(match["second"] or 0)
    )
