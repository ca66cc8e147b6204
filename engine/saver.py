"""The I/O thread: writes snapshots while the next tokens are already being computed."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, EngineError, Unexpected
from engine.types import Cancelled, Failed, NotSaved, Saved

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.store.snapshot import Snapshot
    from engine.store.statestore import StateStore
    from engine.types import Event, Fed, Finished, StateKey

log = logging.getLogger("engine")

PASSING = 2  # snapshots kept of a reply on its way


@dataclass(frozen=True, slots=True)
class Save:
    """A snapshot (on the CPU) to be written; then `finished` is told, with the key if it could be kept.

    Attributes:
        passing: of a reply that goes on: of use if the program dies, and given up when a later one is there.
        row: which of the replies at once that is.
    """

    snapshot: Snapshot
    finished: Finished | Fed | Cancelled | None = None
    passing: bool = False
    row: int = 0


class Saver:
    """Does what it is given in order, on a thread of its own."""

    def __init__(self, store: StateStore | None, emit: Callable[[int, Event], None]) -> None:
        """`store` None: nothing can be kept, and every reply ends without a key."""
        self._store, self._emit = store, emit
        self._passing: dict[int, dict[int, list[StateKey]]] = {}  # by job and row
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine-io", daemon=True)
        self._thread.start()

    def save(self, job: int, save: Save) -> None:
        """Writes the snapshot, tells `Saved` (or `NotSaved`), then the reply's `Finished`."""
        self._tasks.put(lambda: self._pass(job, save) if save.passing else self._save(job, save))

    def passed(self, job: int) -> None:
        """A reply has ended: what was saved on its way is given up."""
        self._tasks.put(lambda: self._give_up_all(job))

    def answer(self, job: int, work: Callable[[StateStore], Event]) -> None:
        """Tells what `work` gives, or its error."""
        self._tasks.put(lambda: self._emit(job, self._answer(work)))

    def emit(self, job: int, event: Event) -> None:
        """Tells an event after everything given before."""
        self._tasks.put(lambda: self._emit(job, event))

    def change(self, work: Callable[[StateStore], object], *, wait: bool = False) -> None:
        """Has something done to the store after what is still to be saved."""
        self._tasks.put(lambda: self._change(work))
        if wait:
            done = threading.Event()
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
            self._emit(job, NotSaved(error))
            return None
        except Exception:
            log.exception("a state was not saved")
            return None
        self._emit(job, Saved(save.snapshot.key, nbytes))
        return save.snapshot.key

    def _pass(self, job: int, save: Save) -> None:
        """The last two are there, so that one is whole whatever happens."""
        if self._store is None:
            return
        try:
            self._store.save_passing(save.snapshot)
        except EngineError as error:
            log.warning("a reply's state on its way was not saved: %r", error)
            return
        kept = self._passing.setdefault(job, {}).setdefault(save.row, [])
        kept.append(save.snapshot.key)
        self._give_up(kept[:-PASSING])
        del kept[:-PASSING]

    def _give_up_all(self, job: int) -> None:
        for kept in self._passing.pop(job, {}).values():
            self._give_up(kept)

    def _give_up(self, keys: list[StateKey]) -> None:
        if self._store and keys:
            self._store.passed(keys)

    def _answer(self, work: Callable[[StateStore], Event]) -> Event:
        try:
            if self._store is None:
                return Failed(DiskFailed("", "no folder for saved states"))
            return work(self._store)
        except EngineError as error:
            return Failed(error)
        except Exception as error:
            log.exception("unexpected")
            return Failed(Unexpected(type(error).__name__, str(error)))

    def _change(self, work: Callable[[StateStore], object]) -> None:
        try:
            if self._store:
                work(self._store)
        except EngineError as error:
            log.warning("saved states were not changed: %r", error)
