"""The transfer thread: hashes weights while others compute, at the lowest priority that still gets done."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands import Known
from engine.store import fingerprint
from engine.store.fingerprint import mark
from engine.types import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.store.fingerprint import Mark
    from engine.types import Event

NICE, NICEST = 10, 19  # by so much, of −20 … 19: hashing yields to a reply that is being computed
REPORTS = 100  # progress is told at most so often


class Identifier:
    """Finds out the identity of weights, one after the other; what it found is remembered."""

    def __init__(
        self,
        cache: Path | None,
        emit: Callable[[int, Event], None],
        fail: Callable[[int, Exception], None],
        done: Callable[[Known], None],
    ) -> None:
        """
        Args:
            cache: folder where hashes are remembered beyond this process.
            emit, fail, done: called on the transfer thread: a job's events, and its end, one of two
                (`Stopped` is among the errors).
        """
        self._cache, self._emit, self._fail, self._done = cache, emit, fail, done
        self._found: dict[Mark, str] = {}
        self._thread = ThreadPoolExecutor(1, "engine-transfer", initializer=_yield_to_others)

    def known(self, model: Mark) -> str:
        """The identity of weights that have been identified, "" of others; reads none."""
        return self._found.get(model) or fingerprint.known(model, self._cache) or ""

    def begin(self, job: int, path: str, should_stop: Callable[[], bool]) -> None:
        """Has the weights at `path` identified."""
        self._thread.submit(self._run, job, path, should_stop)

    def close(self) -> None:
        """Returns when the thread has ended; jobs must have been stopped."""
        self._thread.shutdown()

    def _run(self, job: int, path: str, should_stop: Callable[[], bool]) -> None:
        try:
            model = mark(Path(path))
            found = self._found.get(model) or fingerprint.identify(
                model, self._cache, should_stop, _reporter(model.nbytes, lambda each: self._emit(job, each))
            )
        except Exception as error:
            self._fail(job, error)
        else:
            self._found[model] = found
            self._done(Known(job, path, model, found))


def _reporter(total: int, tell: Callable[[Progress], None]) -> Callable[[int], None]:
    """From bytes done to events, at most `REPORTS`."""
    told = 0

    def progress(done: int) -> None:
        nonlocal told
        if done * REPORTS // max(total, 1) > told:
            told = done * REPORTS // max(total, 1)
            tell(Progress("hash", done, total))

    return progress


def _yield_to_others() -> None:
    """Linux has a priority per thread; elsewhere hashing competes, for a few seconds per new model."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            me = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, me, min(os.getpriority(os.PRIO_PROCESS, me) + NICE, NICEST))
