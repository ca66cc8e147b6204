"""Texts that are read in the background, as the screens see them: they go on whatever is shown."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.types import Prefilled
from rwkv_chat.explain import sentence
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import HasRead, TurnFailed
from rwkv_chat.texts import say
from rwkv_chat.unforeseen import begin, safely

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.session.turn import Reading

FORESEEN = (SessionError, LibraryError, EngineError, OSError)
log = logging.getLogger(__name__)


class ReadingTexts:
    """Follows every text that is read in this run.

    Attributes:
        shares: by thread id, how far those are that are being read, 0…1.
        tell: called with a sentence that the person should know.  watchers: called when something changed.
    """

    def __init__(self, session: Session) -> None:
        self.shares: dict[str, float] = {}
        self.tell: Callable[[str, bool], None] = _to_nobody
        self.watchers: list[Callable[[], None]] = []
        self._session, self._books = session, session.books
        self._names: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, path: Path) -> None:
        """Take a file in and read it."""
        self._start(self.take_in(path))

    async def take_in(self, path: Path) -> None:
        """The same; it is here when this returns. Raises: NotReadable, LibraryError, OSError."""
        book = await self._books.add(path)
        self.tell(
            say("app.books.added", title=title(book.thread.title), passages=f"{book.passages:,}"), False
        )
        self.read(book.thread.id)

    def read(self, thread: str) -> None:
        """Read a text on."""
        self._start(self._read(thread))

    def pause(self, thread: str) -> None:
        self._start(self._pause(thread))

    def go_on(self) -> None:
        """What was being read when the program ended is read on."""
        self._start(self._go_on())

    @property
    def words(self) -> str:
        """For the status line: "reading Moby-Dick 34 %", "" where nothing is read."""
        return listed(
            say("app.books.share", title=title(self._names.get(each, ""), 20), share=f"{share:.0%}")
            for each, share in self.shares.items()
        )

    async def close(self) -> None:
        self.watchers.clear()
        self.tell = _to_nobody
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ---------------------------------------------------------------- inside

    def _start(self, work: object) -> None:
        task = begin(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, work: object) -> None:
        try:
            await work  # pyright: ignore[reportGeneralTypeIssues]
        except FORESEEN as error:
            self.tell(sentence(error), True)

    async def _pause(self, thread: str) -> None:
        await self._books.pause(thread)

    async def _go_on(self) -> None:
        for reading in await self._books.go_on():
            self._start(self._follow(reading.thread, reading))

    async def _read(self, thread: str) -> None:
        if thread not in self.shares:
            await self._follow(thread, await self._books.read(thread))

    async def _follow(self, thread: str, reading: Reading) -> None:
        book = await self._books.get(thread)
        self._names[thread] = book.thread.title
        self._set(thread, book.done / book.tokens if book.tokens else 0.0)
        try:
            async for event in reading:
                match event:
                    case Prefilled(done=done, total=total) if total:
                        self._set(thread, done / total)
                    case HasRead(usage=usage) if usage is not None:
                        self.tell(say("app.books.finished", title=title(book.thread.title)), False)
                    case TurnFailed(error=error):
                        self.tell(sentence(error), True)
        finally:
            self.shares.pop(thread, None)
            self._changed()

    def _set(self, thread: str, share: float) -> None:
        self.shares[thread] = min(1.0, share)
        self._changed()

    def _changed(self) -> None:
        for each in tuple(self.watchers):
            safely(each)


def _to_nobody(_text: str, _wrong: bool) -> None:
    """Until there is a screen."""
