"""Blocking work in steps, off the event loop: a generator's next value is computed on another thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    Stop = Callable[[], bool]

Value = TypeVar("Value")
_END = object()


async def steps(make: Callable[[Stop], Generator[Value, None, object]]) -> AsyncIterator[Value]:
    """What the generator that `make(should_stop)` gives yields.

    A caller who leaves stops it: `should_stop` turns true, the step under way is waited for, and the
    generator is closed, so that its temporary files are gone before this ends.
    """
    stopped = threading.Event()
    generator = make(stopped.is_set)
    step: asyncio.Task[object] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, generator, _END))
            value = await asyncio.shield(step)
            if value is _END:
                return
            yield value  # pyright: ignore[reportReturnType]  not _END: it came from the generator
    finally:
        stopped.set()
        if step is not None and not step.done():
            await asyncio.wait([step])
        await asyncio.to_thread(generator.close)
