"""Errors that nobody foresaw, in work that nobody awaits.

asyncio keeps the error of a task until somebody asks for it: whoever waits for what the task was to do sees
nothing, and waits for ever. So every task that is not awaited where it is made is begun here. An error that
ends it goes to the event loop's exception handler at once, as a callback's does; there a front end writes it
down and tells it, and without one asyncio writes it to the log. The program goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
Result = TypeVar("Result")


def begin(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """A task of its own, to be held on to: the loop does not. Whoever awaits it gets its error, too."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_ended)
    return task


def safely(call: Callable[P, object], *given: P.args, **named: P.kwargs) -> None:
    """Call somebody whose mistakes are not the caller's: what it raises is reported, and ends nothing."""
    try:
        call(*given, **named)
    except Exception as error:
        report(error)


def report(error: BaseException) -> None:
    """Give an error to whoever writes errors down and tells them. On the event loop's thread."""
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "work beside the rest failed", "exception": error})


def _ended(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        report(error)
