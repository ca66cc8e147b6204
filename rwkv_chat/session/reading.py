"""Reading in the background: what a model has no state for, fed while nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, Unexpected
from engine.types import Cancelled, Failed, Fed, FeedRequest, Prefilled
from rwkv_chat.library import initials, nodes
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session import chain
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import HasRead, TurnFailed
from rwkv_chat.session.manner import manner_of
from rwkv_chat.templates import TemplateInvalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.types import Usage
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.nodes import Coded
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.border import JobLike
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.transcript import Thread

    Reached = Callable[[int, int], Awaitable[None]]

SHORTEST_PART, MOST_PARTS = 4096, 16  # tokens; parts of a long reading
COMMITTED = 500  # messages whose tokens are committed in one transaction
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ToRead:
    """What the model in use would have to read of a conversation before it can answer.

    Attributes:
        tokens: without a saved state.
        seconds: at the speed measured with this model; None where it has read nothing yet.
    """

    tokens: int
    seconds: float | None


async def to_read(desk: Desk, thread: Thread, tip: str | None) -> ToRead:
    """Waits for the model. Raises: EngineError, LibraryError, TemplateInvalid."""
    speaker = await desk.models.speaking()
    coded = await coded_memory(desk, thread, tip, speaker)
    known = await known_ends(desk, coded, speaker)
    begun = coded.ends[known - 1][0] if known else 0
    speed = await desk.library.run(nodes.prefill_speed, speaker.model)
    tokens = len(coded.tokens) - begun
    return ToRead(tokens, tokens / speed if speed else None)


async def coded_memory(desk: Desk, thread: Thread, tip: str | None, speaker: Speaker) -> chain.Chain:
    """What a model knows at `tip` as tokens, which are committed. Raises: LibraryError, TemplateInvalid."""
    manner = await asyncio.to_thread(manner_of, thread, speaker, desk.usual_mode())
    path = await desk.library.run(nodes.memory, tip, manner.coding)
    rows = speaker.info.spec.vocab_size
    coded = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, rows)
    initial = await desk.initials.of(thread, speaker)
    coded = replace(coded, initial=initial, adapter=await desk.adapters.of(thread, speaker))
    await save_tokens(desk.library, manner.coding, coded.changed)
    return coded


async def save_tokens(library: Library, coding: str, changed: tuple[Coded, ...]) -> None:
    """Commit ids, of many messages in parts: others come to the library between. Raises: LibraryError."""
    for at in range(0, len(changed), COMMITTED):
        await library.run(nodes.save_tokens, coding, changed[at : at + COMMITTED])


async def read(
    desk: Desk,
    thread: Thread,
    tip: str | None,
    reading: Reading,
    *,
    background: bool = True,
    reached: Reached | None = None,
) -> None:
    """Reads a conversation up to `tip`; every error ends in `TurnFailed`."""
    try:
        speaker = await desk.models.speaking()
        coded = await coded_memory(desk, thread, tip, speaker)
        usage = None
        for request in await _requests(desk, coded, speaker, background=background):
            if reached is not None:
                await reached(len(request.history), len(coded.tokens))
            if reading.stopping.is_set():
                usage = None
                break
            job = await desk.adapters.submit(request, coded.adapter)
            end = len(request.history) + len(request.prompt)
            cost = await follow(job, reading, end, len(coded.tokens))
            if cost is None:
                usage = None
                break
            usage = cost if usage is None else total(usage, cost)
        else:
            if reached is not None:
                await reached(len(coded.tokens), len(coded.tokens))
        reading.emit(HasRead(reading.thread, usage))
    except (EngineError, LibraryError, SessionError, TemplateInvalid) as error:
        reading.emit(TurnFailed(error))
    except Exception as error:
        log.exception("a reading failed")
        reading.emit(TurnFailed(Unexpected(type(error).__name__, str(error))))
    finally:
        reading.close()


async def known_ends(desk: Desk, coded: chain.Chain, speaker: Speaker) -> int:
    """Up to the end of how many messages of a chain there is a saved state."""
    keys = [key for _, key in coded.ends]
    info = replace(speaker.info, adapter=coded.adapter)
    known = await asyncio.to_thread(desk.engine.known, info, keys, coded.initial)
    begun = None if coded.adapter else await desk.library.run(initials.get, coded.initial)
    if begun is not None:
        known |= {begun.prefix}  # it is in memory: nothing of it is saved under a key of ours
    return max((at for at, key in enumerate(keys, 1) if key in known), default=0)


async def _requests(
    desk: Desk, coded: chain.Chain, speaker: Speaker, *, background: bool
) -> list[FeedRequest]:
    """What is still to be read of a chain, in parts that end with a message: the state at each end is saved,
    so that a long reading can be gone on with, and chats can begin in the middle.
    """
    part = max(SHORTEST_PART, len(coded.tokens) // MOST_PARTS)
    known = await known_ends(desk, coded, speaker)
    begun, start = coded.ends[known - 1] if known else (0, None)
    found = []
    for end, key in coded.ends[known:]:
        if end - begun >= part or (end == len(coded.tokens) and end > begun):
            history = coded.tokens[:begun]
            found.append(
                FeedRequest(coded.tokens[begun:end], history, start, coded.initial, background=background)
            )
            begun, start = end, key
    return found


def total(one: Usage, other: Usage) -> Usage:
    """What two requests cost that were fed one after the other."""
    return replace(
        other,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        history_tokens=one.history_tokens + other.history_tokens,
        prefill_seconds=one.prefill_seconds + other.prefill_seconds,
        source=one.source,
    )


async def settle(ask: Callable[[], Awaitable[JobLike]], reading: Reading) -> None:
    """Follows a reading that nobody asked for; where it fails, the next turn reads instead."""
    try:
        reading.emit(HasRead(reading.thread, await follow(await ask(), reading)))
    except (EngineError, LibraryError, SessionError) as error:
        log.warning("what is remembered could not be read: %s", type(error).__name__)
        reading.emit(TurnFailed(error))
    finally:
        reading.close()


async def follow(job: JobLike, reading: Reading, end: int = 0, total: int = 0) -> Usage | None:
    """Tells a feed job's progress; what it cost, None where it was stopped.

    Args:
        end: where in the whole reading the job's part ends.
        total: tokens of the whole; 0: what the job says is told as it is.

    Raises:
        EngineError.
    """
    reading.runs(job)
    try:
        async for event in job:
            if isinstance(event, Prefilled):
                reading.emit(_placed(event, end, total) if total else event)
            elif isinstance(event, Fed):
                return event.usage
            elif isinstance(event, Cancelled):
                return None
            elif isinstance(event, Failed):
                raise event.error
    finally:
        job.cancel()
    raise EngineClosed


def _placed(event: Prefilled, end: int, total: int) -> Prefilled:
    """Progress of a part as progress of the whole: the job tells how much is left up to the part's end."""
    return replace(event, done=max(0, end - (event.total - event.done)), total=total)
