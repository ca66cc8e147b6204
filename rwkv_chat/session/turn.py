"""A turn as its caller holds it: an asynchronous iterator of events that can be stopped.

The work goes on in a task of its own, whether anybody listens or not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rwkv_chat.session.events import Answered, HasRead, TurnFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from rwkv_chat.session.border import JobLike
    from rwkv_chat.session.events import TurnEvent

ENDS = (Answered, HasRead, TurnFailed)


class _Running:
    """Work on a conversation.

    Attributes:
        thread: id of the conversation, known at once even where the work makes it.
    """

    def __init__(self, thread: str) -> None:
        self.thread = thread
        self.stopping = asyncio.Event()
        self._events: asyncio.Queue[TurnEvent | None] = asyncio.Queue()
        self._end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._job: JobLike | None = None
        self._resample: Callable[[Mapping[str, Any]], None] = _nothing
        self._own: Mapping[str, Any] | None = None  # sampling that was told before there was a job
        self._after: Callable[[], object] = _nothing

    def stop(self) -> None:
        """End the work and keep what there is of it. Returns at once; the last event comes as ever."""
        self.stopping.set()
        if self._job is not None:
            self._job.cancel()

    def resample(self, own: Mapping[str, Any]) -> None:
        """Have the reply go on as it would be sampled now, from its next token on.

        Args:
            own: how the conversation's sampling differs from now on.
        """
        self._own = own
        self._resample(own)

    @property
    def done(self) -> bool:
        return self._end.done()

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        return self

    async def __anext__(self) -> TurnEvent:
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)
            raise StopAsyncIteration
        return event

    # ------------------------------------------------------------------ for the session

    def emit(self, event: TurnEvent) -> None:
        if isinstance(event, ENDS):
            self._over()
            self._end.set_result(event)
        self._events.put_nowait(event)

    def _over(self) -> None:
        after, self._after = self._after, _nothing
        after()

    def on_end(self, call: Callable[[], object]) -> None:
        """Called once, before the last event can be seen: the conversation is free again by then."""
        self._after = call

    def close(self) -> None:
        """No more events."""
        self._job, self._resample = None, _nothing
        self._over()
        self._events.put_nowait(None)
        if not self._end.done():
            self._end.cancel()

    def runs(self, job: JobLike, resample: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        """`stop` now reaches this job, and `resample` that function."""
        self._job, self._resample = job, resample or _nothing
        if self.stopping.is_set():
            job.cancel()
        elif self._own is not None:
            self._resample(self._own)


class Turn(_Running):
    """One message and its reply; stopped, it ends with `Answered`."""

    async def result(self) -> Answered | TurnFailed:
        """Wait for the last event; it may be awaited beside the iteration, and again."""
        return await asyncio.shield(self._end)


class Reading(_Running):
    """A conversation being read in the background; stopped, it goes on from there the next time."""

    async def result(self) -> HasRead | TurnFailed:
        """Wait for the last event; it may be awaited beside the iteration, and again."""
        return await asyncio.shield(self._end)


def _nothing(*_: object) -> None:
    pass
