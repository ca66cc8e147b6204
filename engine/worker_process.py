"""The same worker in a spawned process: commands and events go over two pipes. Long histories are sent only
where they are wanted (`engine.lent`).

If the child dies, the reading thread here sees the end of its pipe; if this process dies, the child sees the
end of its own and ends too.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from engine.commands import Ask, Close, History
from engine.lent import Borrower, Lender
from engine.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from engine.commands import Command, WorkerConfig
    from engine.types import Event

log = logging.getLogger("engine")

LOG = -1  # in place of a job id: the event is (level, text) for the log
WANT = -2  # in place of a job id: the event is that of a job whose history is wanted
CLOSING_SECONDS = 30.0  # a child that does not end within this is stopped
START = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold


class ProcessWorker:
    """`Worker`'s methods, for a worker in a child process."""

    def __init__(
        self, config: WorkerConfig, emit: Callable[[int, Event], None], died: Callable[[int], None]
    ) -> None:
        """`died` is called with the exit code if the child ends by itself."""
        self._emit, self._died = emit, died
        theirs, self._commands = START.Pipe(duplex=False)
        self._events, theirs_too = START.Pipe(duplex=False)
        self._lock = threading.Lock()
        self._lender = Lender()
        self._closing = False
        self._process = START.Process(
            target=_child, args=(config, theirs, theirs_too), name="engine", daemon=True
        )
        # multiprocessing hands on the descriptor of sys.stderr; a full-screen program has put an object
        # without one in its place
        with contextlib.redirect_stderr(sys.__stderr__):
            self._process.start()
        theirs.close()
        theirs_too.close()
        self._thread = threading.Thread(target=self._read, name="engine-events", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def put(self, command: Command) -> None:
        if isinstance(command, Ask):
            command = self._lender.lend(command)
        with self._lock, contextlib.suppress(OSError):  # a dead child is reported by the reading thread
            self._commands.send(command)

    def close(self) -> None:
        """Cancels everything, saves, and returns when the child has ended."""
        self._closing = True
        self.put(Close())
        self._process.join(CLOSING_SECONDS)
        if self._process.is_alive():
            self._process.kill()
        self._thread.join()
        self._commands.close()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                job, event = self._events.recv()
                if job == LOG:
                    log.log(*event)
                elif job == WANT:
                    self.put(History(event, self._lender.history(event)))
                else:
                    self._lender.told(job, event)
                    self._emit(job, event)
        self._process.join()
        self._events.close()
        if not self._closing:
            self._died(self._process.exitcode or 0)


# -------------------------------------------------------------------------------------------- in the child


def _child(config: WorkerConfig, commands: Connection, events: Connection) -> None:
    for name in (
        "SIGINT",
        "SIGHUP",
    ):  # Ctrl+C and a closed terminal reach both: they are the parent's to handle
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lock = threading.Lock()

    def send(job: int, event: object) -> None:
        with lock, contextlib.suppress(OSError):
            events.send((job, event))

    log.addHandler(_Forward(send))
    worker = Worker(config, send, lambda code: os._exit(code))
    borrower = Borrower(lambda job: send(WANT, job))
    with contextlib.suppress(EOFError, OSError):
        while not isinstance(command := commands.recv(), Close):
            if isinstance(command, History):
                borrower.give(command.job, command.tokens)
            else:
                worker.put(borrower.borrow(command) if isinstance(command, Ask) else command)
    borrower.close()
    worker.close()


class _Forward(logging.Handler):
    """Sends formatted log records to the parent, which has the log file."""

    def __init__(self, send: Callable[[int, object], None]) -> None:
        super().__init__()
        self._send = send
        self.setFormatter(_Quiet())

    def emit(self, record: logging.LogRecord) -> None:
        self._send(LOG, (record.levelno, self.format(record)))


class _Quiet(logging.Formatter):
    """Of an exception, the lines of code it passed and its kind: its message may quote what was typed."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  the base class's name
        kind, _, trace = ei
        return "".join((*traceback.format_tb(trace), kind.__name__))
