"""Ctrl-C and polite kills: the first asks the work to stop and keep what it has, the second insists."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
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
    """Inside a running loop: `ask` is called in the loop at the first signal, KeyboardInterrupt is raised at
    the second. Off the main thread nothing is caught.
    """
    loop, arrived = asyncio.get_running_loop(), Interrupt()

    def handle(number: int, _: object) -> None:
        if arrived.number:
            raise KeyboardInterrupt
        arrived.number = number
        loop.call_soon_threadsafe(ask)

    before = {}
    try:
        for number in _numbers():
            before[number] = signal.signal(number, handle)
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
