"""The turns and readings that go on, at most one of each in a conversation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rwkv_chat.session.answering import Answering, Desk
from rwkv_chat.session.errors import SessionClosed, ThreadBusy
from rwkv_chat.session.kept_chains import KeptChains
from rwkv_chat.session.readings import Readings
from rwkv_chat.session.turn import Turn
from rwkv_chat.session.wish import ANSWER
from rwkv_chat.unforeseen import begin as begin_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.types import FeedRequest
    from rwkv_chat.library.database import Library
    from rwkv_chat.session.adapters import Adapters
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.initials import Initials
    from rwkv_chat.session.models import Models
    from rwkv_chat.session.wish import Sampled, Wish
    from rwkv_chat.transcript import Node, Thread
    from rwkv_chat.windows import Windows

    Begin = Callable[[], Awaitable[tuple[Thread, Node]]]


class Turns:
    """What all use cases of conversations begin and end through.

    Attributes:
        desk: what a turn works with.  readings: what is read in the background.
        closed: nothing more may begin.
    """

    def __init__(
        self,
        library: Library,
        models: Models,
        engine: EngineLike,
        initials: Initials,
        windows: Windows,
        adapters: Adapters,
        usual_mode: Callable[[], str],
        sampling: Sampled,
        pauses: Callable[[], bool] = lambda: False,
    ) -> None:
        self.desk = Desk(
            *(library, models, engine, usual_mode, sampling, initials, windows, adapters),
            settle=self._settle,
            chains=KeptChains(),
            pauses=pauses,
        )
        self.readings = Readings()
        self.closed = False
        self._running: dict[str, tuple[Turn, asyncio.Task[None]]] = {}

    def of(self, thread: str) -> Turn | None:
        """The turn that is running in a conversation."""
        running = self._running.get(thread)
        return running[0] if running else None

    @property
    def running(self) -> tuple[str, ...]:
        """Conversations in which a turn runs."""
        return tuple(self._running)

    def begin(self, thread: str, begin: Begin, params: Sampled, wish: Wish = ANSWER) -> Turn:
        """Raises: ThreadBusy, SessionClosed."""
        self.free(thread)
        turn = Turn(thread)
        answering = Answering(self.desk, turn, params, wish)

        async def in_order() -> tuple[Thread, Node]:
            await self.readings.changed(thread)
            return await begin()

        task = begin_task(answering.run(in_order))
        self._running[thread] = turn, task
        turn.on_end(lambda: self._running.pop(thread, None))
        return turn

    def free(self, thread: str) -> None:
        """Ends what is being read of a conversation. Raises: ThreadBusy, SessionClosed."""
        if self.closed:
            raise SessionClosed
        if thread in self._running:
            raise ThreadBusy(thread)
        self.readings.stop(thread)

    async def free_and_whole(self, thread: str) -> None:
        """The same, and waits until what it is being changed to is written. Raises: see `free`."""
        self.free(thread)
        await self.readings.changed(thread)

    async def stop(self, thread: str) -> None:
        """Stop a conversation's turn and wait until it is on the disk."""
        if thread in self._running:
            turn, task = self._running[thread]
            turn.stop()
            await asyncio.wait([task])

    async def close(self) -> None:
        """Stop every reply, keeping what there is of it, and wait until it is on the disk."""
        self.closed = True
        await asyncio.gather(*(self.stop(thread) for thread in tuple(self._running)))
        await self.readings.close()

    def _settle(self, thread: str, request: FeedRequest, adapter: str) -> None:
        if not self.closed:
            self.readings.settle(self.desk, thread, request, adapter)
