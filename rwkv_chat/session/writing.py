"""The reply on its way to the disk: written as it grows, at most once a second, and once more at its end."""

from __future__ import annotations

import asyncio
import codecs
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.prefix import extend
from rwkv_chat.library import nodes
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session.reply import Delta, ReplyParser, joined, parse
from rwkv_chat.session.wish import ANSWER
from rwkv_chat.transcript import ChatMessage
from rwkv_chat.unforeseen import begin

if TYPE_CHECKING:
    import sqlite3

    from engine.types import Finished, Piece, TokenIds
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.nodes import Reply
    from rwkv_chat.session.chain import Asking
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.memory import Memory
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.wish import Wish
    from rwkv_chat.transcript import Node, NodeStatus, Thread

GROWTH_SECONDS = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """What a reply begins with: a cut reply that goes on, or words that a person put first.

    Attributes:
        text, reasoning: as shown.
        raw: what its tokens say, without the bytes of an unfinished last character.
        answering: what comes goes on in the answer; else it is parsed after `raw`.
    """

    text: str = ""
    reasoning: str = ""
    raw: str = ""
    answering: bool = False

    @property
    def deltas(self) -> tuple[Delta, ...]:
        """To be shown first."""
        both = Delta("reasoning", self.reasoning), Delta("answer", self.text)
        return tuple(each for each in both if each.text)


def given_of(node: Node, asked: Asking, manner: Manner, wish: Wish = ANSWER) -> Given:
    """What a reply to `node` begins with; `node` itself where it is a cut reply that goes on."""
    data = manner.tokenizer.decode_bytes(asked.lead if asked.begun else asked.drawn)
    raw = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    if wish.lead and asked.begun:
        return _led(raw, manner)
    if not asked.begun:
        deltas = ReplyParser(manner.template, manner.mode).feed(raw)
        return Given(joined(deltas, "answer"), joined(deltas, "reasoning"), manner.mode.tail + raw)
    if node.message.role != "assistant":
        return Given(parse(manner.template, raw, manner.mode)[1], raw=raw, answering=True)
    said = node.message
    text, reasoning = said.text, said.reasoning
    if len(raw) < len(data.decode("utf-8", "replace")):  # the character comes whole with what follows
        text, reasoning = text.removesuffix("\ufffd"), reasoning if text else reasoning.removesuffix("\ufffd")
    return Given(text, reasoning, raw, answering=bool(text) or not reasoning)


def _led(raw: str, manner: Manner) -> Given:
    """The beginning of another reply, thoughts and all, as it was parsed when that one was written."""
    parser = ReplyParser(manner.template, manner.mode)
    deltas = parser.feed(raw.removeprefix(manner.mode.tail))
    return Given(joined(deltas, "answer"), joined(deltas, "reasoning"), raw)


@dataclass(frozen=True, slots=True)
class Draft:
    """A growing reply at one moment.

    Attributes:
        raw: what the model has written.  tokens: those whose text is out whole.
        text, reasoning: what was shown of it; less than `raw` while a mark may be beginning.
    """

    raw: str = ""
    tokens: TokenIds = ()
    text: str = ""
    reasoning: str = ""


class Growing:
    """Collects one reply's pieces; keeps nothing."""

    def __init__(self, speaker: Speaker, memory: Memory, given: Given) -> None:
        self._speaker, self._memory, self._manner, self._given = speaker, memory, memory.manner, given
        template, mode = self._manner.template, self._manner.mode
        self._parser = ReplyParser(template, mode, answering=given.answering)
        if not given.answering:
            self._parser.feed(given.raw.removeprefix(mode.tail))
        self._draft = Draft(text=given.text, reasoning=given.reasoning)

    @property
    def tokens(self) -> int:
        return len(self._draft.tokens)

    @property
    def message(self) -> ChatMessage:
        """What was shown so far."""
        return ChatMessage("assistant", self._draft.text, self._draft.reasoning)

    def add(self, piece: Piece) -> tuple[Delta, ...]:
        """Take a piece in; gives what it adds to what is shown."""
        deltas, before = self._parser.feed(piece.text), self._draft
        self._draft = replace(
            _shown(before, deltas), raw=before.raw + piece.text, tokens=before.tokens + piece.tokens
        )
        return deltas

    def rest(self) -> tuple[Delta, ...]:
        """What the parser still held back."""
        deltas = self._parser.finish()
        self._draft = _shown(self._draft, deltas)
        return deltas


class ReplyWriter(Growing):
    """Keeps the database at most a second behind what is shown.

    Attributes:
        blank: the reply before its first word, as it is sampled now.
    """

    def __init__(
        self,
        library: Library,
        thread: str,
        blank: Reply,
        speaker: Speaker,
        memory: Memory,
        given: Given = Given(),
    ) -> None:
        super().__init__(speaker, memory, given)
        self._library, self._thread, self._id, self.blank = library, thread, blank.id, blank
        self._dirty = asyncio.Event()
        self._task = begin(self._keep_up())

    def add(self, piece: Piece) -> tuple[Delta, ...]:
        """See `Growing`."""
        deltas = super().add(piece)
        self._dirty.set()
        return deltas

    async def finish(self, end: Finished, reply: Reply, before: str) -> tuple[Thread, Node] | None:
        """Commit the whole reply, `rest` included, with the exact tokens that will be remembered of it, after
        the key `before`; None where it was cut before anything new was shown.
        """
        await self.stop()
        draft, given = self._draft, self._given
        if end.reason == "cancelled" and (draft.text, draft.reasoning) == (given.text, given.reasoning):
            return None
        tokens = await asyncio.to_thread(self._memory.whole, end.tokens, draft.reasoning, draft.text)
        whole = replace(
            reply,
            id=self._id,
            text=draft.text,
            reasoning=draft.reasoning,
            tokens=tokens,
            drawn=self._memory.as_drawn(end.tokens, draft.reasoning),
            prefix=await asyncio.to_thread(extend, tokens, before),
            model=self._speaker.model,
        )
        return await self._library.run(nodes.save_reply, self._thread, whole)

    async def cut(self, status: NodeStatus) -> None:
        """Commit what was received of a reply whose end will not come."""
        await self.stop()
        self.rest()
        await self._library.run(self._save, self._draft, status)

    async def stop(self) -> None:
        """End the growing; a write under way is done first (there is one database thread)."""
        self._task.cancel()
        await asyncio.wait([self._task])  # what may have failed there is no reason not to commit the end

    async def _keep_up(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._library.run(self._save, self._draft, "growing")
            except LibraryError as error:  # the end of the reply is committed again, and reported then
                log.warning("a growing reply could not be written: %s", type(error).__name__)
            await asyncio.sleep(GROWTH_SECONDS)

    def _save(self, db: sqlite3.Connection, draft: Draft, status: NodeStatus) -> None:
        """On the database thread."""
        if not draft.raw or not (draft.text or draft.reasoning):
            return
        tokens, tail = self._remembered(draft)
        reply = replace(
            self.blank,
            id=self._id,
            text=draft.text,
            reasoning=draft.reasoning,
            status=status,
            tokens=tokens,
            tail=tail,
            drawn=self._drawn(draft, tokens),
            counted=len(draft.tokens),
            model=self._speaker.model,  # its id may have become known since the reply began
        )
        _, node = nodes.save_reply(db, self._thread, reply)
        self._id = node.id  # another one where it grows on beside itself

    def _remembered(self, draft: Draft) -> tuple[TokenIds, str]:
        """What the next turn goes on from if nothing more comes: token ids, and text to be encoded then."""
        if self._memory.forgets(draft.reasoning):
            return (), self._memory.plain(draft.text)
        asked = self._memory.asked
        return asked.lead + asked.drawn + draft.tokens, self._tail(draft)

    def _drawn(self, draft: Draft, tokens: TokenIds) -> TokenIds:
        """What was drawn, where the reply could not go on from `tokens` as if nothing had happened."""
        asked = self._memory.asked
        drawn = asked.drawn + draft.tokens
        same = asked.fork is None and tokens == drawn
        return () if asked.begun or same else drawn

    def _tail(self, draft: Draft) -> str:
        """The end of the raw text that the whole tokens don't cover."""
        asked, decode = self._memory.asked, self._speaker.tokenizer.decode_bytes
        covered = decode(asked.lead + asked.drawn + draft.tokens).decode("utf-8", "replace")
        given = self._given.raw if asked.begun or asked.drawn else decode(asked.lead).decode()
        raw = given + draft.raw
        return raw[len(covered) :] if raw.startswith(covered) else ""


def _shown(draft: Draft, deltas: tuple[Delta, ...]) -> Draft:
    return replace(
        draft,
        text=draft.text + joined(deltas, "answer"),
        reasoning=draft.reasoning + joined(deltas, "reasoning"),
    )
