"""A job: what was asked of the engine, as a stream of events that ends by itself.

Events come from another thread. A plain `for` gets each one; `async for` gets them coalesced: the loop is
woken at most `WAKES_PER_SECOND` times a second, and pieces that came meanwhile arrive as one; none is lost.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from engine.types import (
    Adapted,
    Cancelled,
    Downloaded,
    Failed,
    Fed,
    Finished,
    Held,
    Identified,
    Inspected,
    Loaded,
    Piece,
    Prefilled,
    Registered,
    Scored,
    StoreUse,
    Thinned,
    Unloaded,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from engine.types import Event

WAKES_PER_SECOND = 20
END = (
    Failed
    | Loaded
    | Identified
    | Registered
    | Adapted
    | Unloaded
    | Downloaded
    | Fed
    | Cancelled
    | Held
    | Thinned
    | StoreUse
    | Inspected
)


class Outbox:
    """Events from one writing thread to one reader, a thread or an event loop."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._events: deque[Event] = deque()
        self._wake: Callable[[], None] | None = None

    def put(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
            wake, self._wake = self._wake, None
            self._lock.notify_all()
        if wake:
            wake()

    def take(self) -> Event:
        """The oldest event; waits for it."""
        with self._lock:
            while not self._events:
                self._lock.wait(1.0)  # with a limit, so that Ctrl+C interrupts it on Windows too
            return self._events.popleft()

    async def take_all(self) -> list[Event]:
        """Everything there is, at least one event; waits on the running loop."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        with self._lock:
            if not self._events:
                self._wake = lambda: _call(loop, ready.set)
            else:
                ready.set()
        try:
            await ready.wait()
        finally:
            with self._lock:
                self._wake = None
        with self._lock:
            events = list(self._events)
            self._events.clear()
        return events


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        if not loop.is_closed():
            raise


class Job:
    """One load or one reply. Iterate it once, from one thread or one loop.

    Attributes:
        id: unique within its engine.
    """

    def __init__(self, job_id: int, ends: int, cancel: Callable[[], None]) -> None:
        """`ends`: how many `Finished` end it; any of `END` ends it at once."""
        self.id = job_id
        self._outbox = Outbox()
        self._cancel = cancel
        self._ends = self._left = ends

    @property
    def done(self) -> bool:
        """The last event has been delivered to the job (not necessarily read)."""
        return self._left <= 0

    def cancel(self) -> None:
        """Asks for an early end; what was written stays. Harmless at any time, any number of times."""
        if not self.done:
            self._cancel()

    def put(self, event: Event) -> bool:
        """Delivers an event, for the engine only; True if it was the last one."""
        if self.done:
            return False
        self._left = _left_after(event, self._left)
        self._outbox.put(event)
        return self.done

    def __iter__(self) -> Iterator[Event]:
        left = self._ends
        while left > 0:
            event = self._outbox.take()
            left = _left_after(event, left)
            yield event

    async def __aiter__(self) -> AsyncIterator[Event]:
        left = self._ends
        while left > 0:
            begun, events = time.monotonic(), coalesce(await self._outbox.take_all())
            for event in events:
                left = _left_after(event, left)
                yield event
            if left > 0 and not _about_to_speak(events):
                await asyncio.sleep(max(0.0, begun + 1 / WAKES_PER_SECOND - time.monotonic()))

    def result(self) -> Event:
        """Waits for the end and gives the last event.

        Raises:
            EngineError: the job failed.
        """
        *_, last = self
        if isinstance(last, Failed):
            raise last.error
        return last


def _about_to_speak(events: list[Event]) -> bool:
    """All is read: the first piece is only a step away, and is not kept waiting."""
    told = [each for each in events if isinstance(each, Prefilled | Piece)]
    return bool(told) and isinstance(last := told[-1], Prefilled) and last.done >= last.total - 1


def _left_after(event: Event, left: int) -> int:
    """How many ends are still to come."""
    if isinstance(event, END) or (isinstance(event, Scored) and event.last):
        return 0
    return left - isinstance(event, Finished)


def coalesce(events: Iterable[Event]) -> list[Event]:
    """The same events with neighbouring pieces of one alternative joined."""
    joined: list[Event] = []
    for event in events:
        before = joined[-1] if joined else None
        if isinstance(event, Piece) and isinstance(before, Piece) and before.index == event.index:
            joined[-1] = Piece(event.index, before.text + event.text, before.tokens + event.tokens)
        else:
            joined.append(event)
    return joined
