"""From a selection to the conversations that are kept of it, one after the other: sessions, filters, aliases.

Nothing is rendered here. What is read twice comes twice in the same order, so that a second reading may count
on what the first one found.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rwkv_chat.importers.alike import Alike
from rwkv_chat.importers.arrange import Cast, messages
from rwkv_chat.importers.filters import plain
from rwkv_chat.importers.forms import Attachment, Conversation, Refused, Skipped
from rwkv_chat.importers.language import language
from rwkv_chat.importers.logs import Progress, conversations
from rwkv_chat.importers.redaction import Aliases, aliases, redacted, secrets
from rwkv_chat.importers.sessions import sessions
from rwkv_chat.library.nodes import StoredNode
from rwkv_chat.session.errors import ConversationsInvalid, SpeakersUnknown
from rwkv_chat.session.examples_types import Looked
from rwkv_chat.transcript import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rwkv_chat.importers.filters import Filters
    from rwkv_chat.importers.forms import Reason, Turn
    from rwkv_chat.importers.redaction import Secret
    from rwkv_chat.session.examples_types import Branch, Left, LogFile, Selection
    from rwkv_chat.transcript import ChatMessage

    ReadBranch = Callable[[Branch], tuple[StoredNode, ...]]

SHOWN_REDACTIONS = 100
NAMED = 20


@dataclass(frozen=True, slots=True)
class Quoted(StoredNode):
    """An answer that is read, and not learnt: its log says so."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation that is trained on.

    Attributes:
        stored: its messages; those of the library with the tokens that were fed, where nothing was changed.
        began: seconds since the epoch; None where that is not known.
        turns: messages of the log that went into it.
        document: a text without turns; all of it is learnt.
    """

    stored: tuple[StoredNode, ...]
    began: float | None
    turns: int
    document: bool = False


@dataclass(slots=True)
class Tally:
    """What was left out and taken out so far, and who was met."""

    skipped: Counter[Reason | Left] = field(default_factory=Counter)
    redacted: Counter[Secret] = field(default_factory=Counter)
    redactions: list[tuple[str, Secret]] = field(default_factory=list)
    people: dict[str, None] = field(default_factory=dict)
    speakers: dict[str, None] = field(default_factory=dict)


class Reading:
    """One reading of a selection.

    Attributes:
        tally: whole when the reading has ended.
    """

    def __init__(self, selection: Selection, branch: ReadBranch, people: Iterable[str] = ()) -> None:
        """`people`: all whose names may be met, for their aliases; see `names`."""
        self.tally = Tally()
        self._selection, self._branch = selection, branch
        self._filters: Filters = selection.filters
        self._aliases = Aliases(aliases(people) if selection.aliases else {})
        self._seen: set[int] = set()
        self._alike = Alike(self._filters.alike) if self._filters.alike > 0 else None

    def dialogues(self) -> Iterator[Dialogue | Looked]:
        """Raises: ConversationsInvalid, SpeakersUnknown, LibraryError, OSError."""
        for number, file in enumerate(self._selection.files):
            for item in _items(file, number):
                if isinstance(item, Looked):
                    yield item
                elif isinstance(item, Skipped):
                    self.tally.skipped[item.reason] += item.number
                else:
                    yield from self._of_log(item, file)
        for branch in self._selection.branches:
            yield from self._of_library(branch)

    # ---------------------------------------------------------------- logs

    def _of_log(self, found: Conversation, file: LogFile) -> Iterator[Dialogue]:
        people = found.participants
        cast = cast_of(found, file)
        self.tally.people |= dict.fromkeys(people)
        self.tally.speakers |= dict.fromkeys(each for each in people if cast.role(each) == "assistant")
        gap = self._selection.gap if people else float("inf")
        document = [each.role for each in found.turns] == ["assistant"]
        for one in sessions(found, gap, fewest=1):
            turns = tuple(filter(None, map(self._turn, one.path())))
            if turns:
                said = messages(replace(one, turns=turns, tip=""), cast, people)
                yield from self._kept(_nodes(said), one.created, len(turns), document=document)

    def _turn(self, turn: Turn) -> Turn | None:
        """A message as it is kept; names of files never are: they name people."""
        kinds = turn.attachments if self._filters.media == "word" else ()
        text = plain(turn.text)
        nothing = None if kinds else "media"
        why = self._filters.against(text) if text.strip() else nothing
        if why is not None:
            self.tally.skipped[why] += 1
            return None
        if text == turn.text and not turn.attachments:
            return turn
        return replace(turn, text=text, attachments=tuple(Attachment(each.kind) for each in kinds))

    # ---------------------------------------------------------------- the library

    def _of_library(self, branch: Branch) -> Iterator[Dialogue]:
        stored = [each for each in self._branch(branch) if self._passes(each.node.message.text)]
        if stored:
            began, passages = stored[0].node.created or None, all(each.node.kind for each in stored)
            yield from self._kept(tuple(stored), began, len(stored), document=passages)

    def _passes(self, text: str) -> bool:
        why = self._filters.against(text) if text else None
        self.tally.skipped.update((why,) if why else ())
        return why is None

    # ---------------------------------------------------------------- both

    def _kept(
        self, stored: tuple[StoredNode, ...], began: float | None, turns: int, *, document: bool
    ) -> Iterator[Dialogue]:
        """The conversation from a person's first message to the last answer, unless something speaks against
        it; of a document (a text that nobody asked for), all.
        """
        if not document:
            stored = _answered(stored)
        why = self._against(stored, document=document)
        if why is not None:
            self.tally.skipped[why] += 1
            return
        yield Dialogue(tuple(map(self._cleaned, stored)), began, turns, document)

    def _against(self, stored: tuple[StoredNode, ...], *, document: bool) -> Left | None:
        if not stored or not (document or any(map(_is_learnt, stored))):
            return "one-sided"
        if len(stored) < self._filters.fewest and not document:
            return "few-messages"
        told = "\n".join(each.node.message.text for each in stored)
        if self._filters.languages and language(told) not in ("", *self._filters.languages):
            return "language"
        key = _key(stored)
        if key in self._seen:
            return "double"
        self._seen.add(key)
        return "alike" if self._alike is not None and self._alike.seen(told) else None

    def _cleaned(self, stored: StoredNode) -> StoredNode:
        """Without secrets and names; a message that lost something loses its tokens."""
        message, tally = stored.node.message, self.tally
        found = secrets(message.text, self._selection.redact) if self._selection.redact else ()
        for each in found:
            tally.redacted[each.kind] += 1
            if len(tally.redactions) < SHOWN_REDACTIONS:
                tally.redactions.append((message.text[each.start : each.end], each.kind))
        text = self._aliases(redacted(message.text, found))
        if text == message.text:
            return stored
        node = replace(stored.node, message=replace(message, text=text), tokens=None)
        return replace(stored, node=node, tail="", drawn=())


def names(selection: Selection) -> Iterator[Looked | tuple[str, ...]]:
    """Who speaks in chats between people; last comes all of them, the first to speak first.

    Raises: see `Reading.dialogues`.
    """
    found: dict[str, None] = {}
    for number, file in enumerate(selection.files):
        for item in _items(file, number):
            if isinstance(item, Looked):
                yield item
            elif isinstance(item, Conversation):
                found |= dict.fromkeys(item.participants)
    yield tuple(found)


def _items(file: LogFile, number: int) -> Iterator[Conversation | Skipped | Looked]:
    try:
        for item in conversations(file.path, file.form):
            yield Looked(number, item.done, item.total) if isinstance(item, Progress) else item
    except Refused as refused:
        raise ConversationsInvalid(str(file.path), refused.where, refused.hint) from refused


def cast_of(found: Conversation, file: LogFile) -> Cast:
    """Who is the assistant: the one who was chosen, else the one who exported it. Raises: SpeakersUnknown."""
    speaker = file.speaker or found.owner
    if found.participants and not speaker:
        raise SpeakersUnknown(str(file.path), tuple(found.participants[:NAMED]))
    return Cast(assistant=speaker)


def _nodes(said: Iterable[tuple[ChatMessage, bool]]) -> tuple[StoredNode, ...]:
    return tuple((StoredNode if learnt else Quoted)(Node("", None, message)) for message, learnt in said)


def _is_learnt(stored: StoredNode) -> bool:
    return stored.node.message.role == "assistant" and not isinstance(stored, Quoted)


def _answered(stored: tuple[StoredNode, ...]) -> tuple[StoredNode, ...]:
    """From the first message that is no answer to the last answer; () where there is none. Of several answers
    in a row (what stood between them was left out), the first.
    """
    roles = [each.node.message.role for each in stored]
    begin = next((at for at, role in enumerate(roles) if role == "user"), len(roles))
    before = tuple(each for each in stored[:begin] if each.node.message.role == "system")
    end = max((at for at, role in enumerate(roles) if role == "assistant"), default=-1)
    kept = tuple(stored[at] for at in range(begin, end + 1) if not roles[at] == roles[at - 1] == "assistant")
    if kept and len(before) < begin:  # it was not the first one of its chain, and is now
        first = (*before, *kept)[0]
        kept = (*before, *kept)
        return (StoredNode(replace(first.node, tokens=None)), *kept[1:])
    return (*before, *kept) if kept else ()


def _key(stored: tuple[StoredNode, ...]) -> int:
    """Who said what, but not when; eight bytes of it."""
    told = hashlib.blake2b(digest_size=8)
    for each in stored:
        said = each.node.message
        told.update(f"{said.role}\0{' '.join(said.text.split())}\0".encode("utf-8", "replace"))
    return int.from_bytes(told.digest(), "little")
