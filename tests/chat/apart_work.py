"""What `test_apart` has done in processes of their own, which import this and nothing heavy."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from engine.errors import ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

FOREVER = 60


def pids(count: int, stop: Callable[[], bool]) -> Generator[int, None, None]:
    for _ in range(count):
        yield os.getpid()


def fails(kind: str, stop: Callable[[], bool]) -> Generator[int, None, None]:
    yield 1
    if kind == "known":
        raise ModelNotFound("/nowhere")
    if kind == "unknown":
        raise ZeroDivisionError(kind)
    os._exit(7)


def notes_its_end(file: Path, stop: Callable[[], bool]) -> Generator[int, None, None]:
    yield 1
    deadline = time.monotonic() + FOREVER
    while not stop() and time.monotonic() < deadline:
        time.sleep(0.01)
    file.write_text("stopped")
