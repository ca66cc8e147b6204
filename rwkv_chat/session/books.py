"""Reading in the background: a text is read in passages into a state of its own while one goes on chatting.

It is a conversation of the kind "reading", all of whose passages are committed before the first is fed. New
chats begin at its end, or at any passage that was read. How far it was read is written down, the states on
the way are saved: after a pause or a crash it goes on from there.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.library import branches, nodes, readings, search
from rwkv_chat.library.errors import NodeMissing
from rwkv_chat.library.search import Wanted
from rwkv_chat.session import reading
from rwkv_chat.session.errors import NotReadable
from rwkv_chat.session.measured import measured
from rwkv_chat.session.passages import passages
from rwkv_chat.session.quotes import Quote, quote_of
from rwkv_chat.session.readings import thread_and_tip
from rwkv_chat.session.titles import title_from
from rwkv_chat.templates import scrub

if TYPE_CHECKING:
    from rwkv_chat.library.readings import Book
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.session.turns import Turns
    from rwkv_chat.transcript import Thread

LARGEST = 64_000_000  # bytes
BATCH = 200  # passages in one transaction


class Books:
    """The use cases of texts that are read. All raise LibraryError."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._desk, self._library = turns, turns.desk, turns.desk.library

    # ------------------------------------------------------------------ looking

    async def listed(self) -> tuple[Book, ...]:
        """All texts, newest first. One that is neither paused nor finished is read, or will be."""
        return await self._library.run(readings.every)

    async def get(self, thread_id: str) -> Book:
        """A text and how far it was read. Raises: ThreadMissing."""
        return await self._library.run(readings.get, thread_id)

    def reading(self, thread_id: str) -> Reading | None:
        """The reading that goes on of a text."""
        return self._turns.readings.of(thread_id)

    async def find(self, thread_id: str, query: str, limit: int = 5) -> tuple[Quote, ...]:
        """Passages that hold what is searched for, of a text or of the one that a chat began from; the best
        first. `quotes.quoted` puts them into a message.
        """
        wanted = Wanted(query, role="system", thread=thread_id, ranked=True, limit=limit, deleted=None)
        found = await self._library.run(search.find, wanted)
        return tuple(quote_of(hit, query) for hit in found.hits if hit.node.kind == "passage")

    # ------------------------------------------------------------------ reading

    async def add(self, text: str | Path, title: str = "") -> Book:
        """Take a text or a file in; nothing of it is read yet. One that is here already is given as it is.

        Raises:
            NotReadable: the file is no text.  OSError: it cannot be opened.
        """
        source = str(text) if isinstance(text, Path) else ""
        whole = await asyncio.to_thread(_text_of, text)
        digest = hashlib.blake2b(whole.encode("utf-8"), digest_size=32).hexdigest()
        if (here := await self._library.run(readings.known, digest)) is not None:
            return here
        named = title_from(title or (Path(source).stem if source else whole))
        thread = await self._library.run(readings.create, named, source, digest)
        parts = tuple(await asyncio.to_thread(lambda: tuple(passages(whole))))
        for at in range(0, len(parts), BATCH):
            await self._library.run(readings.append, thread.id, parts[at : at + BATCH])
        return await self._library.run(readings.complete, thread.id)

    async def read(self, thread_id: str) -> Reading:
        """Read a text from where it stands, behind all replies, also after `pause`. `Reading.stop` ends it
        for now.

        Raises:
            ThreadBusy, SessionClosed.
        """
        self._turns.free(thread_id)
        await self._library.run(readings.pause, thread_id, False)

        async def reached(done: int, total: int) -> None:
            await self._library.run(readings.progress, thread_id, total, done)

        return self._turns.readings.read(self._desk, thread_id, reached=reached)

    async def pause(self, thread_id: str) -> Book:
        """Stop reading a text until somebody asks for it; what was read is kept."""
        paused = await self._library.run(readings.pause, thread_id, True)
        self._turns.readings.stop(thread_id)
        return paused

    async def go_on(self) -> tuple[Reading, ...]:
        """Read every text on that was being read when the program ended. Raises: SessionClosed."""
        waiting = [each.thread.id for each in await self.listed() if not each.paused and not each.finished]
        return tuple([await self.read(each) for each in waiting if self.reading(each) is None])

    # ------------------------------------------------------------------ using

    async def reached(self, thread_id: str) -> str | None:
        """The last passage up to which the model in use has read; None where there is none. Waits for the
        model.

        Raises:
            EngineError, TemplateInvalid.
        """
        thread, tip = await self._library.run(thread_and_tip, thread_id)
        speaker = await self._desk.models.speaking()
        there = await measured(self._desk, thread, tip, speaker)
        known = await reading.known_ends(self._desk, there, speaker)
        return there.nodes[known - 1] if known else None

    async def begin(self, thread_id: str, node_id: str | None = None, title: str = "") -> Thread:
        """A new chat that has read a text: up to `node_id`, or as far as the model has come (to its end, if
        it has not begun: the first message then waits for that).

        Raises:
            EngineError, TemplateInvalid, NodeMissing.
        """
        at = node_id or await self.reached(thread_id) or await self._library.run(nodes.tip, thread_id)
        if at is None:
            raise NodeMissing("")
        return await self._library.run(branches.fork, thread_id, at, title_from(title))


def _text_of(given: str | Path) -> str:
    """A text as it is read: UTF-8 (UTF-16 with its mark), LF line ends. Raises: NotReadable, OSError."""
    name = str(given) if isinstance(given, Path) else ""
    if isinstance(given, Path):
        if given.exists() and not given.is_file():  # a pipe would be waited for
            raise NotReadable(name, "file")
        with given.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise NotReadable(name, "large")
        given = _decoded(data, name)
    text = scrub(given).strip("\n")
    if not text.strip():
        raise NotReadable(name, "empty")
    if "\0" in text:
        raise NotReadable(name, "binary")
    return text


def _decoded(data: bytes, name: str) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReadable(name, "binary") from error
