"""The reply on its way to the disk: written as it grows, at most once a second, and once more at its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.prefix import extend
from rwkv_chat.library import nodes
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session.reply import ReplyParser, joined, parse

if TYPE_CHECKING:
    import sqlite3

    from engine.types import Finished, Piece, TokenIds
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.nodes import Reply
    from rwkv_chat.session.memory import Memory
    from rwkv_chat.session.reply import Delta
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.transcript import Node, NodeStatus, Thread

GROWTH_SECONDS = 1.0
log = logging.getLogger(__name__)


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


class ReplyWriter:
    """Collects one reply's pieces and keeps the database at most a second behind what is shown."""

    def __init__(self, library: Library, thread: str, blank: Reply, speaker: Speaker, memory: Memory) -> None:
        self._library, self._thread, self._blank, self._speaker = library, thread, blank, speaker
        self._memory, self._manner = memory, memory.manner
        self._parser = ReplyParser(self._manner.template, self._manner.mode)
        self._draft = Draft()
        self._dirty = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._keep_up())

    @property
    def tokens(self) -> int:
        return len(self._draft.tokens)

    def add(self, piece: Piece) -> tuple[Delta, ...]:
        """Take a piece in; gives what it adds to what is shown."""
        deltas, before = self._parser.feed(piece.text), self._draft
        self._draft = Draft(
            before.raw + piece.text,
            before.tokens + piece.tokens,
            before.text + joined(deltas, "answer"),
            before.reasoning + joined(deltas, "reasoning"),
        )
        self._dirty.set()
        return deltas

    def rest(self) -> tuple[Delta, ...]:
        """What the parser still held back."""
        return self._parser.finish()

    async def finish(self, end: Finished, reply: Reply, before: str) -> tuple[Thread, Node] | None:
        """Commit the whole reply with the exact tokens that will be remembered of it, after the key `before`;
        None where it was cut before anything was shown.
        """
        await self.stop()
        reasoning, text = self._parsed(end.text)
        if end.reason == "cancelled" and not text and not reasoning:
            return None
        tokens = await asyncio.to_thread(self._memory.whole, end.tokens, reasoning, text)
        whole = replace(
            reply,
            text=text,
            reasoning=reasoning,
            tokens=tokens,
            prefix=await asyncio.to_thread(extend, tokens, before),
            model=self._speaker.model,
        )
        return await self._library.run(nodes.save_reply, self._thread, whole)

    async def cut(self, status: NodeStatus) -> None:
        """Commit what was received of a reply whose end will not come."""
        await self.stop()
        reasoning, text = self._parsed(self._draft.raw)
        whole = replace(self._draft, text=text, reasoning=reasoning)
        await self._library.run(self._save, whole, status)

    def _parsed(self, raw: str) -> tuple[str, str]:
        return parse(self._manner.template, raw, self._manner.mode)

    async def stop(self) -> None:
        """End the growing; a write under way is done first (there is one database thread)."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

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
        if not draft.text and not draft.reasoning:
            return
        tokens, tail = self._remembered(draft)
        reply = replace(
            self._blank,
            text=draft.text,
            reasoning=draft.reasoning,
            status=status,
            tokens=tokens,
            tail=tail,
            model=self._speaker.model,  # its id may have become known since the reply began
        )
        nodes.save_reply(db, self._thread, reply)

    def _remembered(self, draft: Draft) -> tuple[TokenIds, str]:
        """What the next turn goes on from if nothing more comes: token ids, and text to be encoded then."""
        if self._memory.forgets(draft.reasoning):
            return (), self._memory.plain(draft.text)
        return self._memory.asked.lead + draft.tokens, self._tail(draft)

    def _tail(self, draft: Draft) -> str:
        """The end of the raw text that the whole tokens don't cover."""
        covered = self._speaker.tokenizer.decode_bytes(draft.tokens).decode("utf-8", "replace")
        return draft.raw[len(covered) :] if draft.raw.startswith(covered) else ""
