"""Downloads in the background: a queue, and threads that work it off.

They run in the process that made the `Engine`, whichever kind its worker is: they need no torch and no model,
they work before any is loaded, they spend their time waiting (hashing releases the interpreter's lock), and
they outlive a worker that dies.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DiskFailed
from engine.types import Cancelled, Failed
from engine.weights.pacing import Pause

if TYPE_CHECKING:
    from engine.job import Job
    from engine.types import DownloadRequest, Event

log = logging.getLogger("engine")

AT_ONCE = 2  # a small file does not wait for a large one; more at once would only share the same line


@dataclass(frozen=True, slots=True)
class Transfer:
    """A download that waits or runs."""

    job: Job
    request: DownloadRequest
    pause: Pause = field(default_factory=Pause)


class Transfers:
    """Works off downloads in order, `AT_ONCE` at a time. Its threads start with the first one."""

    def __init__(self, cache: Path | None) -> None:
        """`cache`: folder where hashes are remembered."""
        self._cache = cache
        self._queue: queue.SimpleQueue[Transfer | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open: dict[int, Transfer] = {}
        self._threads: list[threading.Thread] = []

    def add(self, job: Job, request: DownloadRequest) -> None:
        """Queues a download; its events go to the job."""
        transfer = Transfer(job, request)
        with self._lock:
            self._open[job.id] = transfer
            self._queue.put(transfer)
            if len(self._threads) < min(AT_ONCE, len(self._open)):
                # daemon: a program that ends in the midst of a download does not wait for its end
                thread = threading.Thread(target=self._run, name="engine-transfer", daemon=True)
                self._threads.append(thread)
                thread.start()

    def cancel(self, job: int) -> None:
        """Stops one soon, whether it runs or waits; what it has is kept."""
        with self._lock:
            transfer = self._open.get(job)
        if transfer:
            transfer.pause.set()

    def close(self) -> None:
        """Stops all, and returns when all have ended."""
        with self._lock:
            stopped = list(self._open.values())
            threads, self._threads = self._threads, []
        for transfer in stopped:
            transfer.pause.set()
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join()

    def _run(self) -> None:
        while transfer := self._queue.get():
            last = self._last_event(transfer)
            with self._lock:
                self._open.pop(transfer.job.id, None)
            transfer.job.put(last)

    def _last_event(self, transfer: Transfer) -> Event:
        """Does one download, telling its progress; gives the event that ends it."""
        from engine.weights.download import download
        from engine.worker import at_border

        if transfer.pause.is_set():
            return Cancelled()
        steps = download(transfer.request, transfer.pause)
        try:
            while True:
                transfer.job.put(next(steps))
        except StopIteration as end:
            if end.value is None:
                return Cancelled()
            self._remember(end.value.path, end.value.sha256)
            return end.value
        except OSError as error:
            path = str(error.filename or transfer.request.path)
            return Failed(DiskFailed(path, error.strerror or str(error)))
        except Exception as error:
            return Failed(at_border(error))

    def _remember(self, path: str, sha256: str) -> None:
        """The hash is known now: nothing needs to read the file again for it."""
        from engine.store.fingerprint import remember

        try:
            remember(Path(path), self._cache, sha256)
        except OSError as error:
            log.warning("a hash was not remembered: %r", error)
