"""Reading in the background: what a model has no state for, fed while nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, Unexpected
from engine.types import Cancelled, Failed, Fed, FeedRequest, Prefilled
from rwkv_chat.library import nodes
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session import chain
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import HasRead, TurnFailed
from rwkv_chat.session.manner import manner_of
from rwkv_chat.templates import TemplateInvalid

if TYPE_CHECKING:
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.border import JobLike
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.transcript import Thread

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
    coded = await _coded(desk, thread, tip, speaker)
    keys = [key for _, key in coded.ends]
    known = await asyncio.to_thread(desk.engine.known, speaker.info, keys, speaker.initial)
    begun = max((length for length, key in coded.ends if key in known), default=0)
    speed = await desk.library.run(nodes.prefill_speed, speaker.model)
    tokens = len(coded.tokens) - begun
    return ToRead(tokens, tokens / speed if speed else None)


async def _coded(desk: Desk, thread: Thread, tip: str | None, speaker: Speaker) -> chain.Chain:
    manner = await asyncio.to_thread(manner_of, thread, speaker, desk.usual_mode())
    path = await desk.library.run(nodes.path, tip, manner.coding)
    rows = speaker.info.spec.vocab_size
    coded = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, rows)
    if coded.changed:
        await desk.library.run(nodes.save_tokens, manner.coding, coded.changed)
    return coded


async def read(desk: Desk, thread: Thread, tip: str | None, reading: Reading) -> None:
    """Reads a conversation up to `tip`; every error ends in `TurnFailed`."""
    try:
        speaker = await desk.models.speaking()
        coded = await _coded(desk, thread, tip, speaker)
        if coded.tokens and not reading.stopping.is_set():
            job = desk.engine.submit(FeedRequest(coded.tokens, initial=speaker.initial))
            await follow(job, reading)
        else:
            reading.emit(HasRead(reading.thread, None))
    except (EngineError, LibraryError, SessionError, TemplateInvalid) as error:
        reading.emit(TurnFailed(error))
    except Exception as error:
        log.exception("a reading failed")
        reading.emit(TurnFailed(Unexpected(type(error).__name__, str(error))))
    finally:
        reading.close()


async def settle(job: JobLike, reading: Reading) -> None:
    """Follows a reading that nobody asked for; where it fails, the next turn reads instead."""
    try:
        await follow(job, reading)
    except EngineError as error:
        log.warning("what is remembered could not be read: %s", type(error).__name__)
        reading.emit(TurnFailed(error))
    finally:
        reading.close()


async def follow(job: JobLike, reading: Reading) -> None:
    """Tells a feed job's progress and its end. Raises: EngineError."""
    reading.runs(job)
    try:
        async for event in job:
            if isinstance(event, Prefilled):
                reading.emit(event)
            elif isinstance(event, Fed):
                reading.emit(HasRead(reading.thread, event.usage))
                return
            elif isinstance(event, Cancelled):
                reading.emit(HasRead(reading.thread, None))
                return
            elif isinstance(event, Failed):
                raise event.error
    finally:
        job.cancel()
    raise EngineClosed
