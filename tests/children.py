"""Child processes that begin with torch loaded: each is forked from a server that imported it once.

Importing it costs a child more than a second, which is most of what many tests would take. What is tested is
a process of its own all the same; where the way of starting matters, tests start it as the program does.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

LOADED = ["pytest", "tokenizers", "engine.worker_process", "engine.compute"]


@cache
def warm() -> BaseContext:
    """Forks from the server where the system has one, and spawns elsewhere."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def in_child(work: Callable[..., Any], *args: Any) -> Any:
    """What `work`, a function of a module, returns in a child of its own; its exceptions are raised here."""
    with ProcessPoolExecutor(1, mp_context=warm()) as child:
        return child.submit(work, *args).result()


def status(row: str) -> int:
    """Bytes, from Linux's table of this process: VmRSS is what it holds, VmHWM the most it has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(row))
