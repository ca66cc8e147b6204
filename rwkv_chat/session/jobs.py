"""Waiting for what a job of the engine ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from engine.errors import DiskFailed, EngineClosed
from engine.types import Cancelled, Failed, Fed, NotSaved, Prefilled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.types import StateKey
    from rwkv_chat.session.border import JobLike

End = TypeVar("End")


async def outcome(job: JobLike, kind: type[End]) -> End:
    """The event of this kind that ends a job. Raises: EngineError."""
    try:
        async for event in job:
            if isinstance(event, kind):
                return event
            if isinstance(event, Failed):
                raise event.error
    finally:
        job.cancel()
    raise EngineClosed


async def read(job: JobLike) -> AsyncIterator[Prefilled | StateKey]:
    """A feed job's progress, and last the key under which its state is saved.

    Raises:
        EngineError: it failed, was cancelled, or its state could not be saved.
    """
    refused: NotSaved | None = None
    try:
        async for event in job:
            if isinstance(event, Prefilled):
                yield event
            elif isinstance(event, NotSaved):
                refused = event
            elif isinstance(event, Fed):
                if event.key is None:
                    raise refused.error if refused else DiskFailed("", "no folder for saved states")
                yield event.key
                return
            elif isinstance(event, Failed):
                raise event.error
            elif isinstance(event, Cancelled):
                break
    finally:
        job.cancel()
    raise EngineClosed
