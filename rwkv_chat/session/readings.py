"""The readings that go on in the background, at most one in a conversation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import nodes, threads
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session import reading
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import Committed, TurnFailed
from rwkv_chat.session.turn import Reading
from rwkv_chat.unforeseen import begin

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Coroutine

    from engine.types import FeedRequest
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.reading import Reached
    from rwkv_chat.transcript import Node, Thread

    Commit = Callable[[], Awaitable[tuple[Thread, Node]]]


class Readings:
    """Nothing here waits for a model or a reading, but `settled` and `close`."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Reading, asyncio.Task[None]]] = {}
        self._changing: dict[str, asyncio.Task[tuple[Thread, Node]]] = {}

    def of(self, thread: str) -> Reading | None:
        """The reading that goes on in a conversation."""
        found = self._running.get(thread)
        return found[0] if found else None

    def read(
        self,
        desk: Desk,
        thread: str,
        commit: Commit | None = None,
        *,
        background: bool = True,
        reached: Reached | None = None,
    ) -> Reading:
        """Has the model in use read a conversation to its tip, after `commit` has changed it.

        `reached` is told how many tokens of how many have a state, whenever one was saved.
        """
        begun = Reading(thread)
        change = None if commit is None else self._change(thread, commit)

        async def work() -> None:
            try:
                if change is not None:
                    begun.emit(Committed(*await asyncio.shield(change)))
                found, tip = await desk.library.run(thread_and_tip, thread)
            except (LibraryError, SessionError) as error:
                begun.emit(TurnFailed(error))
                begun.close()
            else:
                await reading.read(desk, found, tip, begun, background=background, reached=reached)

        return self._start(begun, work())

    def settle(self, desk: Desk, thread: str, request: FeedRequest, adapter: str = "") -> None:
        """A reply's thoughts are forgotten: what is remembered is read, from before the reply on."""
        begun = Reading(thread)
        self._start(begun, reading.settle(lambda: desk.adapters.submit(request, adapter), begun))

    def stop(self, thread: str) -> None:
        """Ends what is being read of a conversation; how far it came is kept."""
        if (found := self._running.pop(thread, None)) is not None:
            found[0].stop()

    async def settled(self, thread: str) -> None:
        """Waits until nothing of a conversation is being read."""
        if thread in self._running:
            await asyncio.wait([self._running[thread][1]])

    async def changed(self, thread: str) -> None:
        """Waits until what a conversation is being changed to is whole: what is said or done next comes after
        it. To stop a reading leaves no change half made.
        """
        while (change := self._changing.get(thread)) is not None:
            await asyncio.wait([change])

    def _change(self, thread: str, commit: Commit) -> asyncio.Task[tuple[Thread, Node]]:
        """One change of a conversation after the other, each to its end."""
        before = self._changing.get(thread)

        async def in_order() -> tuple[Thread, Node]:
            if before is not None:
                await asyncio.wait([before])
            return await commit()

        change = self._changing[thread] = asyncio.get_running_loop().create_task(in_order())
        change.add_done_callback(lambda _: self._changed(thread, change))
        return change

    def _changed(self, thread: str, change: asyncio.Task[tuple[Thread, Node]]) -> None:
        if self._changing.get(thread) is change:
            del self._changing[thread]

    async def close(self) -> None:
        """Ends them all."""
        for thread in tuple(self._changing):
            await self.changed(thread)
        tasks = [task for _, task in self._running.values()]
        for thread in tuple(self._running):
            self.stop(thread)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, begun: Reading, work: Coroutine[Any, Any, None]) -> Reading:
        self.stop(begun.thread)
        task = begin(work)
        self._running[begun.thread] = begun, task
        begun.on_end(lambda: self._ended(begun))
        return begun

    def _ended(self, reading: Reading) -> None:
        if self.of(reading.thread) is reading:
            del self._running[reading.thread]


def thread_and_tip(db: sqlite3.Connection, thread: str) -> tuple[Thread, str | None]:
    """A thread and the message where it stands. Raises: ThreadMissing."""
    return threads.get(db, thread), nodes.tip(db, thread)
