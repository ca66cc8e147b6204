"""The engine's threads: one computes, one writes to the disk (`Saver`), one hashes files (`Identifier`).

Commands go in, (job id, event) pairs come out. Jobs are generators that take turns, a token or a chunk each.
A load (of a model, of an adapter) waits until replies asked for before it have ended; replies asked for after
it wait for the load.
Reading in the background goes on only while no reply is being written, and ends when a load is asked for.
Torch is imported by the compute thread at the first load, and by no other.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.commands import Ask, Budget, Cancel, Change, Close, Forget, Identify, Keep, Known, Release, Tell
from engine.devices import compute_threads
from engine.errors import DiskFailed, EngineClosed, EngineError, ModelNotLoaded, OutOfMemory, Unexpected
from engine.identifier import Identifier
from engine.ram import Ram
from engine.saver import Save, Saver
from engine.shortage import shortage
from engine.store.fingerprint import Stopped
from engine.store.statestore import StateStore
from engine.types import (
    AdaptRequest,
    Cancelled,
    Failed,
    FeedRequest,
    Finished,
    GenerateRequest,
    Held,
    HoldRequest,
    Identified,
    InitialRequest,
    InspectRequest,
    LoadRequest,
    ScoreRequest,
    StoreUse,
    Thinned,
    ThinRequest,
    Unloaded,
    UnloadRequest,
    UseRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.commands import Command, WorkerConfig
    from engine.compute import Compute
    from engine.types import Event, SamplingParams

log = logging.getLogger("engine")

QUIET = 0.25  # seconds without a command, after which nobody seems to wait
LOADS = (LoadRequest, AdaptRequest, UnloadRequest)  # what changes the model runs alone


@dataclass(slots=True)
class Task:
    """A job that runs."""

    ask: Ask
    steps: Iterator[Event | Save]

    @property
    def loads(self) -> bool:
        return isinstance(self.ask.request, LOADS)

    @property
    def background(self) -> bool:
        return _is_background(self.ask)


class Worker:
    """Runs the commands put to it; tells events through `emit`, from threads of its own."""

    def __init__(
        self, config: WorkerConfig, emit: Callable[[int, Event], None], died: Callable[[int], None]
    ) -> None:
        """`died` is called if the compute thread ends by itself (an exit code; always 1 here)."""
        self._config, self._emit, self._died = config, emit, died
        self._inbox: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._changes: dict[int, SamplingParams] = {}  # by job, not yet in force
        self._closing = threading.Event()
        self._waiting: deque[Ask] = deque()
        self._tasks: deque[Task] = deque()
        self._compute: Compute | None = None
        self._entered = contextlib.ExitStack()
        self._thread = threading.Thread(target=self._run, name="engine-compute", daemon=True)
        self._thread.start()

    # ----------------------------------------------------------------------------- called by other threads

    def put(self, command: Command) -> None:
        if isinstance(command, Cancel):
            self._cancelled.add(command.job)
        elif isinstance(command, Close):
            self._closing.set()
        self._inbox.put(command)

    def close(self) -> None:
        """Cancels everything, saves, and returns when all threads have ended."""
        self.put(Close())
        self._thread.join()

    # ----------------------------------------------------------------------------- the compute thread

    def _run(self) -> None:
        try:
            self._store = self._open_store()
            self._ram = Ram(self._config.ram_bytes)
            self._saver = Saver(self._store, self._emit)
            self._identifier = Identifier(
                self._config.cache, self._saver.emit, self._unidentified, self._inbox.put
            )
            with self._entered:
                self._serve()
                self._identifier.close()
                self._read_inbox(wait=False)  # what it may have found out last
            self._saver.close()
        except BaseException:
            log.exception("the compute thread ended")  # not raised again: Python would print it
            self._died(1)

    def _open_store(self) -> StateStore | None:
        if self._config.states is None:
            return None
        try:
            return StateStore(self._config.states, self._config.budget_bytes)
        except DiskFailed as error:
            log.warning("states cannot be kept: %r", error)
            return None

    def _serve(self) -> None:
        while not (self._closing.is_set() and not self._tasks and self._inbox.empty()):
            self._read_inbox(wait=not self._tasks and not self._waiting)
            self._admit()
            self._round()
        for ask in self._waiting:
            self._fail(ask, EngineClosed())

    def _round(self) -> None:
        """A step of every task; reading in the background only where nobody waits for a reply."""
        replying = any(not each.background for each in self._tasks)
        for _ in range(len(self._tasks)):
            task = self._tasks.popleft()
            if task.background and replying and task.ask.job not in self._cancelled:
                self._tasks.append(task)
            else:
                self._step(task)

    def _read_inbox(self, *, wait: bool) -> None:
        while wait or not self._inbox.empty():
            command = self._next() if wait else self._inbox.get()
            wait = False
            if isinstance(command, Ask):
                self._asked(command)
            elif isinstance(command, Known):
                self._identified(command)
            elif isinstance(command, Forget):
                self._forget(command)
            elif isinstance(command, Change):
                self._resample(command)
            else:
                self._change(command)

    def _next(self) -> Command:
        """The next command. The time until it comes is used, but where one follows the other closely."""
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=QUIET)
        while self._inbox.empty() and self._compute is not None and self._compute.quicken():
            continue
        return self._inbox.get()

    def _asked(self, ask: Ask) -> None:
        """What needs no model is done at once, on another thread; all else waits for its turn."""
        request, job = ask.request, ask.job
        if isinstance(request, Identify):
            self._identifier.begin(job, request.path, self._stopping(job))
        elif isinstance(request, HoldRequest):
            self._saver.answer(job, lambda store: Held(request.key, store.hold(request.key)))
        elif isinstance(request, ThinRequest):
            self._saver.answer(job, lambda store: Thinned(*store.thin()))
        elif isinstance(request, UseRequest):
            begun = self._compute.begun if self._compute else ()
            memory = self._ram.used, self._ram.budget
            self._saver.answer(job, lambda store: StoreUse(*store.use(), *memory, begun))
        else:
            self._waiting.append(ask)

    def _change(self, command: Command) -> None:
        """What is told of saved states."""
        if isinstance(command, Keep):
            self._saver.change(lambda store: store.keep(command.prefixes))
        elif isinstance(command, Tell):
            self._saver.change(lambda store: store.tell(command.ladders))
        elif isinstance(command, Release):
            self._saver.change(lambda store: store.release(command.names, forget=command.forget))
        elif isinstance(command, Budget):
            self._ram.set_budget(command.ram)
            self._saver.change(lambda store: store.set_budget(command.disk))

    def _resample(self, command: Change) -> None:
        """A job that has ended is not changed any more."""
        running = (*(each.ask.job for each in self._tasks), *(each.job for each in self._waiting))
        if command.job in running:
            self._changes[command.job] = command.params

    def _forget(self, command: Forget) -> None:
        if self._compute:
            self._compute.forget(command.prefixes)
        self._saver.change(lambda store: store.forget(command.prefixes, passing=command.passing), wait=True)

    def _identified(self, found: Known) -> None:
        """Saves what waited for the id, then tells it."""
        self._cancelled.discard(found.job)
        for snapshot in self._compute.identified(found.mark, found.id) if self._compute else ():
            self._saver.save(found.job, Save(snapshot))
        self._saver.emit(found.job, Identified(found.path, found.id))

    def _unidentified(self, job: int, error: Exception) -> None:
        self._cancelled.discard(job)
        self._saver.emit(job, Cancelled() if isinstance(error, Stopped) else Failed(at_border(error)))

    def _stopping(self, job: int) -> Callable[[], bool]:
        return lambda: self._closing.is_set() or job in self._cancelled

    def _admit(self) -> None:
        """Starts what may start: jobs in order, a load only alone."""
        while self._waiting and not self._closing.is_set():
            loads = isinstance(self._waiting[0].request, LOADS)
            if self._tasks and (loads or self._tasks[0].loads):
                return
            ask = self._waiting.popleft()
            self._tasks.append(Task(ask, self._begin(ask)))

    def _begin(self, ask: Ask) -> Iterator[Event | Save]:
        """The job as a generator; its errors come out of it."""
        should_stop = self._stopping(ask.job)
        if isinstance(ask.request, LoadRequest):
            if should_stop():
                yield Cancelled()
                return
            self._compute = self._compute or self._make_compute()
            yield from self._compute.load(ask.request, should_stop)
        elif isinstance(ask.request, InspectRequest):
            from engine.store.profile import inspected

            yield inspected(ask.request)
        elif isinstance(ask.request, UnloadRequest):
            yield self._compute.unload() if self._compute else Unloaded(0)
        elif self._compute is None:
            raise ModelNotLoaded
        elif isinstance(ask.request, FeedRequest):
            yield from self._compute.feed(ask.request, lambda: should_stop() or self._yields(ask))
        elif isinstance(ask.request, GenerateRequest):
            yield from self._compute.reply(ask.request, should_stop, lambda: self._changes.pop(ask.job, None))
        elif isinstance(ask.request, ScoreRequest):
            yield from self._compute.score(ask.request, should_stop)
        elif isinstance(ask.request, InitialRequest):
            yield self._compute.register(ask.request)
        elif isinstance(ask.request, AdaptRequest):
            yield from self._compute.adapt(ask.request, should_stop)

    def _yields(self, ask: Ask) -> bool:
        """A load is waiting for this reading to end."""
        return _is_background(ask) and any(isinstance(each.request, LOADS) for each in self._waiting)

    def _make_compute(self) -> Compute:
        """Torch's thread count and inference mode belong to a thread: this one."""
        import torch

        from engine.compute import Compute

        torch.set_num_threads(self._config.threads or compute_threads())
        self._entered.enter_context(torch.inference_mode())
        return Compute(self._store, self._identifier.known, self._config.cache, self._ram)

    def _step(self, task: Task) -> None:
        """One event of a task, which then takes its place at the end of the line."""
        job = task.ask.job
        try:
            event = next(task.steps, None)
        except Exception as error:
            self._fail(task.ask, error)
            return
        if event is None:
            self._forget_job(job)
            return
        self._tasks.append(task)
        if isinstance(event, Save):
            self._save(job, event)
        elif isinstance(event, Finished):
            self._saver.passed(job)
            self._saver.emit(job, event)  # after the `Saved` of its fork
        else:
            self._emit(job, event)

    def _save(self, job: int, save: Save) -> None:
        """Keeps a snapshot in RAM and has it written; one whose model has no id yet waits for that."""
        if self._compute and not save.passing:
            self._compute.keep(save.snapshot)
        if save.snapshot.key.model:
            self._saver.save(job, save)
        elif save.finished:
            self._saver.emit(job, save.finished)
        if isinstance(save.finished, Finished):
            self._saver.passed(job)

    def _fail(self, ask: Ask, error: Exception) -> None:
        """Ends a job with an error, after all that it still has to tell."""
        mapped = at_border(error)
        if isinstance(mapped, OutOfMemory) and self._compute:
            self._compute.free_memory()
        self._forget_job(ask.job)
        self._saver.emit(ask.job, Failed(mapped))

    def _forget_job(self, job: int) -> None:
        self._cancelled.discard(job)
        self._changes.pop(job, None)


def _is_background(ask: Ask) -> bool:
    return isinstance(ask.request, FeedRequest) and ask.request.background


def at_border(error: Exception) -> EngineError:
    """The engine's error for any exception; what nobody foresaw goes to the log with its traceback."""
    if isinstance(error, EngineError):
        return error
    if found := shortage(error):
        mapped: EngineError = found
    elif isinstance(error, OSError):
        mapped = DiskFailed(str(error.filename or ""), error.strerror or str(error))
    else:
        log.error("unexpected", exc_info=error)
        mapped = Unexpected(type(error).__name__, str(error))
    mapped.__cause__ = error
    return mapped
