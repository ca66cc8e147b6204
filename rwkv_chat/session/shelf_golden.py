"""A real model against a published continuation: greedy, fp32, through the engine as replies go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import EngineClosed
from engine.types import (
    Cancelled,
    Failed,
    Finished,
    GenerateRequest,
    Loaded,
    LoadRequest,
    Piece,
    Progress,
    SamplingParams,
    StopRule,
)
from rwkv_chat.session.shelf_types import Golden

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.types import TokenIds
    from rwkv_chat.session.border import EngineLike, JobLike
    from rwkv_chat.session.cards import ModelCard

# RWKV-7 G1h 1.5B in fp32 after "\nThe Eiffel Tower is located in the city of".
GOLDEN_MODEL = "RWKV-7 G1h 1.5B"
PROMPT: TokenIds = (11, 6699, 304, 25740, 109, 37480, 4600, 52151, 4596, 22590, 30449, 4706)
EXPECTED: TokenIds = (
    *(37138, 45, 44312, 47, 11, 6699, 304, 25740, 109, 37480, 4600, 332),
    *(4865, 35311, 46, 25927, 52099, 39990, 47, 11, 6699, 304, 25740, 109),
)


async def golden(engine: EngineLike, card: ModelCard, device: str) -> AsyncIterator[Progress | Golden]:
    """Progress("load" …), Progress("golden", tokens, of all) …, at the end `Golden`.

    The engine holds this model afterwards. Raises: EngineError.
    """
    async for event in _followed(
        engine.load(LoadRequest(str(card.path), card.tokenizer, device, "fp32")), Loaded
    ):
        if isinstance(event, Progress):
            yield event
    params = SamplingParams(temperature=0.0, max_tokens=len(EXPECTED))
    request = GenerateRequest(PROMPT, params=params, stop=StopRule(ids=()))
    done = 0
    async for event in _followed(engine.submit(request), Finished):
        if isinstance(event, Piece):
            done += len(event.tokens)
            yield Progress("golden", done, len(EXPECTED))
        elif isinstance(event, Finished):
            yield compared(event.tokens)


def compared(found: TokenIds) -> Golden:
    """`found` against what was published."""
    places = range(max(len(EXPECTED), len(found)))
    first = next((at for at in places if EXPECTED[at : at + 1] != found[at : at + 1]), None)
    return Golden(EXPECTED, found, first)


async def _followed(job: JobLike, end: type) -> AsyncIterator[object]:
    """A job's events up to `end`; whoever leaves before cancels it. Raises: EngineError."""
    try:
        async for event in job:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Cancelled):
                break
            yield event
            if isinstance(event, end):
                return
        raise EngineClosed
    finally:
        job.cancel()
