"""A download as its callers hold it: it runs whether anybody listens or not, and any number may listen."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, Unexpected
from engine.types import Cancelled, Downloaded, Failed, Identified, Progress
from rwkv_chat.unforeseen import begin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine.types import DownloadRequest
    from rwkv_chat.session.border import EngineLike, JobLike
    from rwkv_chat.session.shelf_fetch import CompanionFetch, Fetch

    PullEnd = Downloaded | Failed | Cancelled
    PullEvent = Progress | PullEnd
    Finish = Callable[[Downloaded], Awaitable[None]]

log = logging.getLogger(__name__)
ENDS = (Downloaded, Failed, Cancelled)


class Pull:
    """The download of a model, and of the tokenizer that it needs.

    Iterating gives Progress("download", bytes, of all bytes) …, and at the end exactly one of Downloaded,
    Failed and Cancelled (paused: what came is kept, and the next pull goes on from there). A listener that
    comes late begins with the last event.

    Attributes:
        name: the model's short name.  last: the newest event, None before the first.
    """

    def __init__(self, engine: EngineLike, fetch: Fetch | CompanionFetch, finish: Finish) -> None:
        """`finish` puts what came on the shelf, before `Downloaded` is told."""
        self.name = fetch.name
        self.last: PullEvent | None = None
        self._engine, self._fetch, self._finish = engine, fetch, finish
        self._listeners: set[asyncio.Queue[PullEvent]] = set()
        self._job: JobLike | None = None
        self._paused = False
        self._task = begin(self._run())

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return isinstance(self.last, ENDS)

    def pause(self) -> None:
        """End it and keep what came; it ends with `Cancelled`. Returns at once."""
        self._paused = True
        if self._job is not None:
            self._job.cancel()

    async def result(self) -> PullEnd:
        """Wait for the last event."""
        return await asyncio.shield(self._task)

    async def __aiter__(self) -> AsyncIterator[PullEvent]:
        queue: asyncio.Queue[PullEvent] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            event = self.last or await queue.get()
            while True:
                yield event
                if isinstance(event, ENDS):
                    return
                event = await queue.get()
        finally:
            self._listeners.discard(queue)

    # ------------------------------------------------------------------------------------ inside

    async def _run(self) -> PullEnd:
        end = await self._ended()
        self._tell(end)
        return end

    async def _ended(self) -> PullEnd:
        try:
            return await self._pull()
        except EngineError as error:
            return Failed(await asyncio.to_thread(self._fetch.instead, error))
        except Exception as error:
            log.exception("a pull failed")
            return Failed(Unexpected(type(error).__name__, str(error)))

    async def _pull(self) -> PullEnd:
        cached = await asyncio.to_thread(self._fetch.cached)
        if cached is not None and not await self._is_right(cached):
            cached = None
        requests = await asyncio.to_thread(self._fetch.requests if cached is None else self._fetch.beside)
        end = await self._fetched(requests, cached)
        if isinstance(end, Downloaded):
            await self._finish(end)
        return end

    async def _is_right(self, cached: Downloaded) -> bool:
        """Whether a file in somebody else's cache has the SHA-256 that it should; every byte is read."""
        job = self._job = self._engine.identify(cached.path)
        async for event in job:
            if isinstance(event, Progress):
                self._tell(event)
            elif isinstance(event, Identified):
                return event.id == cached.sha256
        return False

    async def _fetched(self, requests: tuple[DownloadRequest, ...], cached: Downloaded | None) -> PullEnd:
        """Every file, one after the other; the model is the one in a cache, or the last of them."""
        before, end = 0, Cancelled()
        for place, request in enumerate(requests):
            after = sum(each.size or 0 for each in requests[place + 1 :])
            end = await self._one(request, before, after)
            if not isinstance(end, Downloaded):
                return end
            before += end.nbytes
        return cached or end

    async def _one(self, request: DownloadRequest, before: int, after: int) -> PullEnd:
        """One file; `before` and `after` are the bytes of the others. Raises: EngineError."""
        if self._paused:
            return Cancelled()
        job = self._job = self._engine.download(request)
        async for event in job:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Downloaded | Cancelled):
                return event
            if isinstance(event, Progress):
                self._tell(Progress(event.task, before + event.done, before + event.total + after))
        raise EngineClosed

    def _tell(self, event: PullEvent) -> None:
        self.last = event
        for queue in self._listeners:
            queue.put_nowait(event)
