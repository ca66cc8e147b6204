"""Ctrl-C and polite kills: the first asks the work to stop and keep what it has, the second insists."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
SHELL_BASE = 128


@dataclass
class Interrupt:
    """What arrived: 0, or the signal's number."""

    number: int = 0

    @property
    def code(self) -> int:
        """The exit code by the shell's custom: 130 for Ctrl-C; 0 if nothing arrived."""
        return SHELL_BASE + self.number if self.number else 0


@contextmanager
def on_interrupt(ask: Callable[[], object]) -> Iterator[Interrupt]:
    """Inside a running loop: `ask` is called at the first signal, KeyboardInterrupt leaves the loop at
    the second. Off the main thread nothing is caught.
    """
    loop, arrived = asyncio.get_running_loop(), Interrupt()

    def handle(number: int) -> None:
        if arrived.number:
            raise KeyboardInterrupt
        arrived.number = number
        ask()

    before = {number: signal.getsignal(number) for number in _numbers()}
    try:
        for number in before:
            _install(loop, number, handle)
        yield arrived
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)


def _install(loop: asyncio.AbstractEventLoop, number: int, handle: Callable[[int], None]) -> None:
    """The loop's own way wakes it wherever it waits; Windows has only the other one."""
    try:
        loop.add_signal_handler(number, handle, number)
    except NotImplementedError:
        signal.signal(number, lambda arrived, _: loop.call_soon_threadsafe(handle, arrived))


def _numbers() -> list[int]:
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []
    return [int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)]
