"""The I/O thread: writes snapshots while the next tokens are already being computed."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.types import Cancelled, Saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.store.snapshot import Snapshot
    from engine.store.statestore import StateStore
    from engine.types import Event, Fed, Finished, StateKey

log = logging.getLogger("engine")


@dataclass(frozen=True, slots=True)
class Save:
    """A snapshot (on the CPU) to be written; then `finished` is told, with the key if it could be kept."""

    snapshot: Snapshot
    finished: Finished | Fed | Cancelled | None = None


class Saver:
    """Does what it is given in order, on a thread of its own."""

    def __init__(self, store: StateStore | None, emit: Callable[[int, Event], None]) -> None:
        """`store` None: nothing can be kept, and every reply ends without a key."""
        self._store, self._emit = store, emit
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine-io", daemon=True)
        self._thread.start()

    def save(self, job: int, save: Save) -> None:
        """Writes the snapshot, tells `Saved`, then the reply's `Finished`."""
        self._tasks.put(lambda: self._save(job, save))

    def emit(self, job: int, event: Event) -> None:
        """Tells an event after everything given before."""
        self._tasks.put(lambda: self._emit(job, event))

    def forget(self, prefixes: Iterable[str]) -> None:
        """Deletes the saved states of these prefix keys, after what is still to be saved; waits for it."""
        done = threading.Event()
        self._tasks.put(lambda: self._forget(prefixes))
        self._tasks.put(done.set)
        done.wait()

    def close(self) -> None:
        """Returns when everything given is done."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while task := self._tasks.get():
            try:
                task()
            except Exception:
                log.exception("the I/O thread failed at one task")

    def _save(self, job: int, save: Save) -> None:
        key = self._kept(job, save)
        if isinstance(save.finished, Cancelled):
            self._emit(job, save.finished)
        elif save.finished:
            self._emit(job, replace(save.finished, key=key))

    def _kept(self, job: int, save: Save) -> StateKey | None:
        """The key under which the snapshot is kept; None if it could not be: a lost state costs time only."""
        if self._store is None:
            return None
        try:
            nbytes = self._store.save(save.snapshot)
        except EngineError as error:
            log.warning("a state was not saved: %r", error)
            return None
        except Exception:
            log.exception("a state was not saved")
            return None
        self._emit(job, Saved(save.snapshot.key, nbytes))
        return save.snapshot.key

    def _forget(self, prefixes: Iterable[str]) -> None:
        try:
            if self._store:
                self._store.forget(prefixes)
        except EngineError as error:
            log.warning("states were not deleted: %r", error)
