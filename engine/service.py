"""The engine's front: load a model, ask for replies, get jobs. Starts threads (or a process) at first use.

Importing or making an `Engine` loads no torch.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.commands import Ask, Budget, Cancel, Change, Forget, Identify, Keep, Release, Tell, WorkerConfig
from engine.errors import EngineClosed, ModelNotLoaded, WorkerDied
from engine.job import Job
from engine.store.folder import SUFFIX, files
from engine.store.statestore import HELD, file_name, place
from engine.transfers import Transfers
from engine.types import (
    AdaptRequest,
    Failed,
    FeedRequest,
    GenerateRequest,
    HoldRequest,
    InitialRequest,
    InspectRequest,
    ScoreRequest,
    StateKey,
    ThinRequest,
    UnloadRequest,
    UseRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.commands import Command, Request
    from engine.types import DownloadRequest, Event, Ladder, LoadRequest, ModelInfo, SamplingParams
    from engine.worker import Worker
    from engine.worker_process import ProcessWorker

log = logging.getLogger("engine")
NOWHERE = Path(os.devnull) / "states"  # nothing can be there

NEEDS_MODEL = (GenerateRequest, FeedRequest, ScoreRequest, InitialRequest, AdaptRequest)


class Engine:
    """One model at a time, its states, and the jobs on it.

    Every method may be called from any thread and returns at once, but `close`.
    """

    def __init__(
        self,
        states: Path | None,
        *,
        cache: Path | None = None,
        budget_bytes: int | None = None,
        worker: Literal["thread", "process"] = "thread",
        threads: int | None = None,
        ram_bytes: int | None = None,
    ) -> None:
        """
        Args:
            states: folder of saved states; None: none are saved, memory alone holds them.
            cache: folder where hashes of weights are remembered.
            budget_bytes: of the saved states; None: the smaller of 20 GB and a tenth of the free disk.
            ram_bytes: of states kept in memory beside the disk; None: the smaller of 1 GB and a sixteenth.
            worker: where it computes.
            threads: of the computation; None: physical cores − 1, at least 1.
        """
        self._states = states or NOWHERE
        self._config = WorkerConfig(states, cache, budget_bytes, threads, ram_bytes)
        self._kind = worker
        self._lock = threading.RLock()
        self._worker: Worker | ProcessWorker | None = None
        self._transfers = Transfers(cache)
        self._jobs: dict[int, Job] = {}
        self._ids = itertools.count(1)
        self._kept: tuple[str, ...] = ()
        self._ladders: dict[str, Ladder] = {}
        self._closed = False
        self.on_death: Callable[[WorkerDied], None] | None = None  # called from another thread

    def load(self, request: LoadRequest) -> Job:
        """Loads a model, after the replies asked for: `Progress` …, then `Loaded`, `Failed` or `Cancelled`.

        The model before it stays if this fails or is cancelled, unless two do not fit into memory. A model
        identified before has its id; the states of another wait in RAM until `identify` tells it.
        """
        return self._ask(request, 1)

    def identify(self, path: Path | str) -> Job:
        """Finds out the id of weights while others compute: `Progress` …, then `Identified`, `Failed` …

        At once if it is remembered. What waited for the id has been saved when `Identified` comes.
        """
        return self._ask(Identify(str(path)), 1)

    def submit(self, request: GenerateRequest | FeedRequest | ScoreRequest) -> Job:
        """Asks for a reply: `Prefilled` …, `Piece` …, `Saved`, a `Finished` per alternative; or `Failed`.

        Or has tokens read: `Prefilled` …, `Saved`, and `Fed`, `Failed` or `Cancelled`.

        Or asks how likely tokens were: `Prefilled` …, then `Scored` … of which the last ends it, or `Failed`
        or `Cancelled`. Nothing is saved then.
        """
        return self._ask(request, request.n if isinstance(request, GenerateRequest) else 1)

    def change(self, job: Job, params: SamplingParams) -> None:
        """Has a reply that is being written go on with other params, but for its seed, from its next token
        on: `Resampled` tells which that was. On a card one more token may be on its way. Harmless at any
        time; params that leave nothing to draw change nothing.
        """
        self._tell_worker(Change(job.id, params))

    def register(self, request: InitialRequest) -> Job:
        """Reads an initial state for the loaded model: `Registered` or `Failed`.

        Replies whose request names its id begin from it; their states are kept apart from all others.
        """
        return self._ask(request, 1)

    def adapt(self, request: AdaptRequest) -> Job:
        """Puts an adapter into the loaded model, after the replies asked for: `Progress` …, then `Adapted`,
        `Failed` or `Cancelled`. The adapter before it stays if this fails or is cancelled; a model that is
        loaded has none. States are kept apart from those of the model without it, or with another.
        """
        return self._ask(request, 1)

    def unload(self) -> Job:
        """Gives the loaded model back, after the replies asked for: `Unloaded` or `Failed`."""
        return self._ask(UnloadRequest(), 1)

    def known(self, info: ModelInfo, prefixes: Iterable[str], initial: str = "") -> frozenset[str]:
        """Those of these prefix keys for which a state of the model is saved. Looks at the disk alone."""
        keys = (StateKey(info.id, info.tier, info.adapter, initial, each) for each in prefixes)
        return frozenset(each.prefix for each in keys if self.file(each).is_file())

    def file(self, key: StateKey) -> Path:
        """Where the state of `key` is saved, or would be. Looks at the disk alone."""
        return place(self._states, key)

    def saved(self) -> dict[str, int]:
        """Bytes of every saved state by file name: the first 32 digits of its prefix key, then some of its
        key's digest. Looks at the disk alone.
        """
        folders = self._states, self._states / HELD
        return {
            each.name: each.size for folder in folders for each in files(folder) if each.name.endswith(SUFFIX)
        }

    def download(self, request: DownloadRequest) -> Job:
        """Fetches a file while others compute: `Progress("download", …)` …, then `Downloaded`, `Failed` or,
        if paused by `Job.cancel`, `Cancelled`: what is here then is kept and goes on with the next request.

        Needs no model and no worker. Several run at once, the others wait in order.
        """
        with self._lock:
            number = next(self._ids)
            job = Job(number, 1, lambda: self._transfers.cancel(number))
            if self._closed:
                job.put(Failed(EngineClosed()))
            else:
                self._transfers.add(job, request)
                atexit.register(self.close)
            return job

    def forget(self, prefixes: Iterable[str], *, passing: bool = False) -> None:
        """Deletes the states of these prefix keys, of every model: their conversation was deleted.

        Args:
            passing: those of replies that go on, too, whose keys nobody knows.
        """
        self._put(Forget(tuple(prefixes), passing))

    def keep(self, prefixes: Iterable[str]) -> None:
        """States of these prefix keys are given up last when the budget runs out; replaces the set before."""
        with self._lock:
            self._kept = tuple(prefixes)
            if self._worker:
                self._worker.put(Keep(self._kept))

    def tell(self, ladders: Iterable[Ladder]) -> None:
        """What conversations look like, so that the store can do without the least useful states first; a
        ladder replaces the one of its name, one without rungs ends it.
        """
        with self._lock:
            told = tuple(ladders)
            self._ladders |= {each.name: each for each in told}
            if self._worker:
                self._worker.put(Tell(told))

    def hold(self, key: StateKey) -> Job:
        """Gives a saved state a name, so that it is never given up: `Held` or `Failed`."""
        return self._ask(HoldRequest(key), 1)

    def release(self, keys: Iterable[StateKey], *, forget: bool = False) -> None:
        """Takes the name from states again; with `forget` they are deleted."""
        names = tuple(file_name(each) for each in keys)
        self._put(Release(names, forget))

    def budget(self, disk: int | None, ram: int | None) -> None:
        """Bytes that saved states may take up from now on, on the disk and in memory; None: the defaults."""
        with self._lock:
            self._config = replace(self._config, budget_bytes=disk, ram_bytes=ram)
            if self._worker:
                self._worker.put(Budget(disk, ram))

    def thin(self) -> Job:
        """Gives up now what conversations can do without (see `ThinRequest`): `Thinned` or `Failed`."""
        return self._ask(ThinRequest(), 1)

    def use(self) -> Job:
        """What saved states take up: `StoreUse` or `Failed`."""
        return self._ask(UseRequest(), 1)

    def inspect(self, *paths: Path | str) -> Job:
        """Looks at one state file, or at two and their differences: `Inspected` or `Failed`."""
        return self._ask(InspectRequest(tuple(map(str, paths))), 1)

    def close(self) -> None:
        """Cancels every job, saves what is to be saved, and returns when all has ended. Idempotent."""
        with self._lock:
            worker, self._worker = self._worker, None
            self._closed = True
        atexit.unregister(self.close)
        self._transfers.close()
        if worker:
            worker.close()
        self._fail_all(EngineClosed())

    # ------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, ends: int) -> Job:
        with self._lock:
            number = next(self._ids)
            job = Job(number, max(1, ends), lambda: self._cancel(number))
            if self._closed:
                job.put(Failed(EngineClosed()))
            elif self._worker is None and isinstance(request, NEEDS_MODEL):
                job.put(Failed(ModelNotLoaded()))
            else:
                self._jobs[number] = job
                self._started().put(Ask(number, request))
            return job

    def _put(self, command: Command) -> None:
        with self._lock:
            if not self._closed:
                self._started().put(command)

    def _started(self) -> Worker | ProcessWorker:
        if self._worker is None:
            if self._kind == "process":
                from engine.worker_process import ProcessWorker as Kind
            else:
                from engine.worker import Worker as Kind
            self._worker = Kind(self._config, self._emit, self._died)
            self._worker.put(Keep(self._kept))
            self._worker.put(Tell(tuple(self._ladders.values())))
            atexit.register(self.close)  # a program that ends without closing still ends in order
        return self._worker

    def _cancel(self, job: int) -> None:
        self._tell_worker(Cancel(job))

    def _tell_worker(self, command: Command) -> None:
        """What means nothing where there is no worker."""
        with self._lock:
            if self._worker:
                self._worker.put(command)

    def _emit(self, number: int, event: Event) -> None:
        """Called by the worker's threads."""
        job = self._jobs.get(number)
        if job and job.put(event):
            self._jobs.pop(number, None)

    def _died(self, exit_code: int) -> None:
        """Every job fails; the next load starts a new worker."""
        log.error("the engine's worker ended with exit code %d", exit_code)
        with self._lock:
            self._worker = None
        death = _death(exit_code)
        if self.on_death is not None:  # whoever waits for no job learns it, too
            self.on_death(death)
        self._fail_all(death)

    def _fail_all(self, error: EngineClosed | WorkerDied) -> None:
        while self._jobs:
            _, job = self._jobs.popitem()
            job.put(Failed(error))


def _death(exit_code: int) -> WorkerDied:
    """A mapped file that was shortened takes pages away: the system sends SIGBUS, where it has that."""
    shortened = exit_code == -getattr(signal, "SIGBUS", 0) != 0
    return WorkerDied(exit_code, "shortened" if shortened else "memory")
