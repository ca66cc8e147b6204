"""What every chat log becomes: conversations of turns, one after the other, and what was left out and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TurnRole = Literal[
    "user", "assistant", "system", "tool", "other"
]  # other: a person; who is who is chosen later
Kind = Literal[
    "image", "video", "audio", "sticker", "file", "place", "contact", "poll", "call", "link", "other"
]
Reason = Literal[
    "bad-record",  # not what the format says it is
    "too-large",
    "truncated",  # the file ends inside a record
    "empty",  # neither text nor attachment
    "no-turns",  # a conversation without any
    "system",  # notices of the program: joins, encryption, pins
    "deleted",
    "hidden",  # shown to nobody: drafts, notes, narrators
    "rejected",  # an answer that somebody marked as a bad one
    "tool",  # what was said to tools and by them
    "other-file",  # no chat log: pictures, settings
    "encrypted",
]
Dates = Literal["", "day", "month"]
PART_TURNS = 5_000  # a messenger's chat of years is given in parts of so many turns …
PART_CHARACTERS = 8_000_000  # … or of so many characters: memory stays bounded
LONGEST_TEXT = 4_000_000  # characters of one turn


class Refused(Exception):
    """`where` in the file, `hint`: what is wrong there, a word of the catalogue."""

    def __init__(self, where: str, hint: str) -> None:
        super().__init__(where, hint)
        self.where, self.hint = where, hint


@dataclass(frozen=True, slots=True)
class Attachment:
    kind: Kind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message.

    Attributes:
        id: stable in its conversation, so that the same file read again gives the same.
        author: the name shown; for roles that are known it may be "".
        time: seconds since the epoch, UTC; None where the log does not say.
        parent: id of the turn before, None for a first one.
        edited: the log says that it was changed after it was sent.
        learned: False: the log says that this answer is to be read, and not to be learnt.
    """

    id: str
    author: str
    role: TurnRole
    text: str
    time: float | None = None
    parent: str | None = None
    reasoning: str = ""
    attachments: tuple[Attachment, ...] = ()
    edited: bool = False
    learned: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation, or one part of a long one.

    Attributes:
        form: the format's name in `FORMATS`.
        id: stable over exports: the log's own, or made of the first turn.
        turns: each after its parent.
        tip: id of the turn where the chosen branch ends; "" for the last.
        owner: the author who exported it, where the log says so.
        part: 0, 1, … of a long conversation.
        dates: which number of its dates was taken for the first one, where it may be the other way round.
    """

    form: str
    id: str
    title: str
    turns: tuple[Turn, ...]
    created: float | None = None
    tip: str = ""
    owner: str = ""
    part: int = 0
    dates: Dates = ""

    @property
    def participants(self) -> tuple[str, ...]:
        """Authors of turns whose role is to be chosen, the first to speak first."""
        return tuple(dict.fromkeys(each.author for each in self.turns if each.role == "other"))

    def path(self) -> tuple[Turn, ...]:
        """The turns from the first to the tip."""
        known = {each.id: each for each in self.turns}
        at = known.get(self.tip, self.turns[-1] if self.turns else None)
        way: list[Turn] = []
        while at is not None and len(way) <= len(known):
            way.append(at)
            at = known.get(at.parent or "")
        return tuple(reversed(way))


@dataclass(frozen=True, slots=True)
class Skipped:
    """`where`: the file, and the place in it where that is known."""

    reason: Reason
    where: str = ""
    number: int = 1


@dataclass(slots=True)
class Report:
    """What came of a log so far."""

    conversations: int = 0
    turns: int = 0
    skipped: dict[Reason, int] = field(default_factory=dict)

    def count(self, item: Conversation | Skipped) -> None:
        if isinstance(item, Skipped):
            self.skipped[item.reason] = self.skipped.get(item.reason, 0) + item.number
        else:
            self.conversations += item.part == 0
            self.turns += len(item.turns)


class Line:
    """A conversation whose turns follow one another: collects them, and gives it out in parts.

    What is not known when the first turns come (title, owner, dates) may be set until a part is given.
    """

    def __init__(self, form: str, id_: str = "", title: str = "", created: float | None = None) -> None:
        self.form, self.id, self.title, self.created, self.owner = form, id_, title, created, ""
        self.dates: Dates = ""
        self._turns: list[Turn] = []
        self._ids: set[str] = set()
        self._characters, self._part = 0, 0
        self._last: str | None = None
        self._above: str | None = None

    def add(self, turn: Turn) -> Iterator[Conversation | Skipped]:
        """The turn after the last one; one that shows nothing is left out."""
        if not turn.text and not turn.attachments and not turn.reasoning:
            yield Skipped("empty")
            return
        if len(turn.text) > LONGEST_TEXT:
            yield Skipped("too-large")
            return
        if len(self._turns) >= PART_TURNS or self._characters > PART_CHARACTERS:
            yield self._given()
            self._part, self._turns, self._characters, self._last = self._part + 1, [], 0, None
            self._ids.clear()
        self._above = self._last
        id_ = self._own(turn.id)
        said = (turn.author, turn.role, turn.text, turn.time, self._last, turn.reasoning)
        more = (turn.attachments, turn.edited, turn.learned)
        self._turns.append(Turn(id_, *said, *more))  # `replace` takes thrice as long
        self._characters += len(turn.text) + len(turn.reasoning)
        self._last = id_

    def beside(self, turn: Turn) -> None:
        """Another version of the last turn."""
        if self._turns and turn.text and len(turn.text) <= LONGEST_TEXT:
            self._turns.append(replace(turn, id=self._own(turn.id), parent=self._above))

    def _own(self, id_: str) -> str:
        """An id that no other turn of the part has; logs that were joined have some twice."""
        own = id_ if id_ not in self._ids else f"{id_}~{len(self._ids)}"
        self._ids.add(own)
        return own

    def rest(self) -> Iterator[Conversation | Skipped]:
        """The last part, or that there was nothing."""
        if self._turns:
            yield self._given()
        elif not self._part:
            yield Skipped("no-turns", self.title)

    def _given(self) -> Conversation:
        self.id = self.id or mark(self.form, self._turns)
        return Conversation(
            self.form,
            self.id,
            self.title,
            tuple(self._turns),
            self.created if self.created is not None else self._turns[0].time,
            self._last or "",
            self.owner,
            self._part,
            self.dates,
        )


def mark(form: str, turns: Sequence[Turn]) -> str:
    """An id for a conversation whose log has none. With times, an export of a later day begins with the
    same turn; where there are none, many conversations may begin alike, and all of it counts.
    """
    told = hashlib.blake2b(form.encode(), digest_size=16)
    for each in turns[:1] if turns[0].time is not None else turns:
        told.update(f"\0{each.role}\0{each.author}\0{each.time}\0{each.text}".encode("utf-8", "replace"))
    return told.hexdigest()


class Lines:
    """Conversations whose turns come mixed; where too many are open, the one begun first is given out."""

    MOST = 1_000

    def __init__(self) -> None:
        self._open: dict[str, Line] = {}

    def get(self, key: str) -> Line | None:
        return self._open.get(key)

    def begin(self, key: str, line: Line) -> Iterator[Conversation | Skipped]:
        if len(self._open) >= self.MOST:
            yield from self._open.pop(next(iter(self._open))).rest()
        self._open[key] = line

    def rest(self) -> Iterator[Conversation | Skipped]:
        for each in self._open.values():
            yield from each.rest()
