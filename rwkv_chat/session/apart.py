"""A blocking generator in a process of its own: what it imports and computes holds that process's interpreter
lock, not the one that typing needs.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import EngineError, Unexpected, WorkerDied

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from rwkv_chat.session.steps import Stop

log = logging.getLogger(__name__)

Value = TypeVar("Value")
LOOK_SECONDS = 0.05  # how often `stop` is asked while nothing comes
ENDING_SECONDS = 5.0  # a child that does not stop within this is killed
END = "end"


def apart(make: Callable[..., Generator[Value, None, None]], *given: Any, stop: Stop) -> Generator[Value]:
    """What `make(*given, should_stop)` yields in a child process; it is stopped when `stop` turns true or
    this generator is closed. `make`, what it is given and what it yields travel as pickles.

    Raises:
        EngineError: what the child raised; any other error of its as `Unexpected`.
        WorkerDied: the child ended without a word.
    """
    process, pipe = _started(make, given)
    try:
        while (answer := _next(process, pipe, stop)) is not None:
            yield answer
    finally:
        pipe.close()  # tells the child to stop
        process.join(ENDING_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _started(make: Callable[..., Any], given: tuple[Any, ...]) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(make, given, theirs), name="apart", daemon=True)
    # a full-screen program has put an object without a descriptor in place of sys.stderr
    with contextlib.redirect_stderr(sys.__stderr__):
        process.start()
    theirs.close()
    return process, ours


def _next(process: BaseProcess, pipe: Connection, stop: Stop) -> Any:
    """The next value, None at the end. Raises: EngineError."""
    while not pipe.poll(LOOK_SECONDS):
        if stop():
            return None
    try:
        answer = pipe.recv()
    except (EOFError, OSError) as error:
        process.join(ENDING_SECONDS)
        raise WorkerDied(process.exitcode or 0) from error
    if isinstance(answer, Unexpected):
        log.error("%s in a process of its own:\n%s", answer.kind, answer.detail)
    if isinstance(answer, EngineError):
        raise answer
    return None if answer == END else answer


# -------------------------------------------------------------------------------------------- in the child


def _child(make: Callable[..., Generator[Any, None, None]], given: tuple[Any, ...], pipe: Connection) -> None:
    for name in ("SIGINT", "SIGHUP"):  # they reach both: the parent says what becomes of this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):  # nobody listens any more
        pipe.send(_told(make(*given, pipe.poll), pipe))


def _told(values: Generator[Any, None, None], pipe: Connection) -> EngineError | str:
    """Sends every value; the last word."""
    try:
        for each in values:
            pipe.send(each)
    except EngineError as error:
        return error
    except OSError:
        raise
    except Exception as error:  # told, not lost in a child that nobody sees
        return Unexpected(type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return END
