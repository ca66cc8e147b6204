"""Reading in the background: what a model has no state for, fed while nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, Unexpected
from engine.types import Cancelled, Failed, Fed, FeedRequest, Prefilled
from rwkv_chat.library import initials, nodes, speeds
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.library.rows import ids
from rwkv_chat.session import chain
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import HasRead, TurnFailed
from rwkv_chat.session.manner import manner_of
from rwkv_chat.session.measured import coded_parts, measured
from rwkv_chat.templates import TemplateInvalid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from engine.types import Usage
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.nodes import Coded
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.border import JobLike
    from rwkv_chat.session.measured import Measured
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
    there = await measured(desk, thread, tip, speaker)
    known = await known_ends(desk, there, speaker)
    begun = there.ends[known - 1][0] if known else 0
    speed = await desk.library.run(speeds.prefill_speed, speaker.model)
    tokens = there.length - begun
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
        usage = await _read(desk, thread, tip, reading, reached, background=background)
        reading.emit(HasRead(reading.thread, usage))
    except (EngineError, LibraryError, SessionError, TemplateInvalid) as error:
        reading.emit(TurnFailed(error))
    except Exception as error:
        log.exception("a reading failed")
        reading.emit(TurnFailed(Unexpected(type(error).__name__, str(error))))
    finally:
        reading.close()


async def _read(
    desk: Desk,
    thread: Thread,
    tip: str | None,
    reading: Reading,
    reached: Reached | None,
    *,
    background: bool,
) -> Usage | None:
    """What it cost; None where there was nothing to read, or it was stopped. Raises: what `read` tells."""
    speaker = await desk.models.speaking()
    there = await measured(desk, thread, tip, speaker)
    usage = None
    async with aclosing(_parts(desk, there, speaker)) as parts:
        async for part in parts:
            if reached is not None:
                await reached(part.begin, there.length)
            if reading.stopping.is_set():
                return None
            cost = await _read_part(desk, there, part, reading, background=background)
            if cost is None:
                return None
            usage = cost if usage is None else total(usage, cost)
    if reached is not None:
        await reached(there.length, there.length)
    return usage


async def known_ends(desk: Desk, there: Measured, speaker: Speaker) -> int:
    """Up to the end of how many messages of a chain there is a saved state."""
    keys = [key for _, key in there.ends]
    info = replace(speaker.info, adapter=there.adapter)
    known = await asyncio.to_thread(desk.engine.known, info, keys, there.initial)
    begun = None if there.adapter else await desk.library.run(initials.get, there.initial)
    if begun is not None:
        known |= {begun.prefix}  # it is in memory: nothing of it is saved under a key of ours
    return max((at for at, key in enumerate(keys, 1) if key in known), default=0)


@dataclass(frozen=True, slots=True)
class _Part:
    """Tokens `begin` … `end` of a chain, which are to be read.

    Attributes:
        whole: the chain, known up to `end`.  start: the key at `begin`, None for its beginning.
    """

    whole: array[int]
    begin: int
    end: int
    start: str | None


async def _parts(desk: Desk, there: Measured, speaker: Speaker) -> AsyncGenerator[_Part]:
    """What is still to be read of a chain, in parts that end with a message: the state at each end is saved,
    so that a long reading can be gone on with, and chats can begin in the middle.
    """
    known = await known_ends(desk, there, speaker)
    begin, start = there.ends[known - 1] if known else (0, None)
    ends = deque(_ends(there, known, begin))
    whole, reached = array("I", bytes(4 * there.length)), 0
    async with aclosing(coded_parts(desk, there.nodes, there.manner, speaker)) as walk:
        async for some in walk:
            whole[reached : reached + len(some.tokens)] = array("I", some.tokens)
            reached += len(some.tokens)
            while ends and ends[0][0] <= reached:
                end, key = ends.popleft()
                yield _Part(whole, begin, end, start)
                begin, start = end, key


def _ends(there: Measured, known: int, begin: int) -> Iterator[tuple[int, str]]:
    """Where parts of a reading end that goes on after `known` messages, at token `begin`."""
    least = max(SHORTEST_PART, there.length // MOST_PARTS)
    for end, key in there.ends[known:]:
        if end - begin >= least or (end == there.length and end > begin):
            yield end, key
            begin = end


async def _read_part(
    desk: Desk, there: Measured, part: _Part, reading: Reading, *, background: bool
) -> Usage | None:
    job = await desk.adapters.submit(_request(there, part, background=background), there.adapter)
    return await follow(job, reading, part.end, there.length)


def _request(there: Measured, part: _Part, *, background: bool) -> FeedRequest:
    """To be let go of soon: its history is all that was read before."""
    with memoryview(part.whole) as whole:
        prompt, history = ids(whole[part.begin : part.end]), ids(whole[: part.begin])
    return FeedRequest(prompt, history, part.start, there.initial, background=background)


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
