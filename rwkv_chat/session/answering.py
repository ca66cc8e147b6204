"""One turn, from the committed message to the committed reply. The order is the point:

message committed → model ready → its tokens committed → submitted → the reply written as it grows → its end
committed with the exact tokens that will be remembered, and the tip moved → where those are not the ones that
were drawn, the engine is asked to read them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, ModelNotLoaded, Unexpected, WorkerDied
from engine.types import Failed, Finished, Piece, Prefilled, SamplingParams
from rwkv_chat.library import nodes, threads
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.library.nodes import Reply
from rwkv_chat.session import chain
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import Answered, Committed, ReplyGrew, TurnFailed, WaitingForModel
from rwkv_chat.session.manner import manner_of
from rwkv_chat.session.memory import Memory
from rwkv_chat.session.speed import Speedometer
from rwkv_chat.session.writing import ReplyWriter
from rwkv_chat.templates import TemplateInvalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.types import FeedRequest, FinishReason
    from rwkv_chat.library.database import Library
    from rwkv_chat.session.border import EngineLike, JobLike
    from rwkv_chat.session.chain import Asking, Chain
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.models import Models
    from rwkv_chat.session.reply import Delta
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.turn import Turn
    from rwkv_chat.transcript import Node, NodeStatus, Thread

SEEDS = 2**63
STATUS: dict[FinishReason, NodeStatus] = {"stop": "complete", "length": "length", "cancelled": "stopped"}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every turn works with.

    Attributes:
        usual_mode: the think mode in the settings ("" for none).
        settle: has the engine read, behind the turn's back, what will be remembered of a conversation.
    """

    library: Library
    models: Models
    engine: EngineLike
    usual_mode: Callable[[], str]
    settle: Callable[[str, FeedRequest], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One reply's part: who speaks, how, after what."""

    speaker: Speaker
    manner: Manner
    coded: Chain
    asked: Asking


class Answering:
    """Runs one turn and tells it what happens.

    Attributes:
        again: the person wants another reply to a message that has one: the state after the message is
            taken up as it was, nothing of the old reply is in it.
    """

    def __init__(
        self, desk: Desk, turn: Turn, params: Callable[[str], SamplingParams], *, again: bool = False
    ) -> None:
        """`params`: how to sample in a think mode."""
        self._desk, self._turn, self._params, self._again = desk, turn, params, again
        self._library, self._models, self._engine = desk.library, desk.models, desk.engine
        self._used: Speaker | None = None
        self._loaded_again = False
        self._speed = Speedometer()
        self._totals = {"answer": 0, "reasoning": 0}

    async def run(self, begin: Callable[[], Awaitable[tuple[Thread, Node]]]) -> None:
        """The whole turn; every error ends in `TurnFailed`, and only cancellation comes out."""
        try:
            thread, node = await begin()
            self._turn.emit(Committed(thread, node))
            await self._answer(thread, node)
        except (EngineError, LibraryError, SessionError, TemplateInvalid) as error:
            if isinstance(error, WorkerDied | ModelNotLoaded):
                self._models.lost(self._used)
            self._turn.emit(TurnFailed(error))
        except Exception as error:
            log.exception("a turn failed")
            self._turn.emit(TurnFailed(Unexpected(type(error).__name__, str(error))))
        finally:
            self._turn.close()

    async def _answer(self, thread: Thread, node: Node) -> None:
        while (speaker := await self._speaker()) is not None:
            part = await self._part(thread, node, speaker)
            # if the model was changed meanwhile, its tokens are other ones
            if speaker is self._models.speaker and await self._generated(thread, node, part):
                return
        self._turn.emit(Answered(thread, None, None, "cancelled"))

    async def _generated(self, thread: Thread, node: Node, part: Part) -> bool:
        """False where the engine had lost the model before (its process died while nothing was asked of
        it): it is loaded again, once.
        """
        try:
            await self._generate(thread, node, part)
        except ModelNotLoaded:
            if self._loaded_again:
                raise
            self._loaded_again = True
            self._models.lost(part.speaker)
            return False
        return True

    async def _speaker(self) -> Speaker | None:
        """Wait for the model; None when the turn is stopped first."""
        if self._turn.stopping.is_set():
            return None
        if self._models.speaker is not None:
            return self._models.speaker
        self._turn.emit(WaitingForModel())
        ready = asyncio.ensure_future(self._models.speaking())
        stopped = asyncio.ensure_future(self._turn.stopping.wait())
        try:
            await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
            return ready.result() if ready.done() else None
        finally:
            ready.cancel()
            stopped.cancel()

    async def _part(self, thread: Thread, node: Node, speaker: Speaker) -> Part:
        """Encode what this model has not seen, and commit it before it is fed."""
        manner = await asyncio.to_thread(manner_of, thread, speaker, self._desk.usual_mode())
        path = await self._library.run(nodes.path, node.id, manner.coding)
        rows = speaker.info.spec.vocab_size
        coded = await asyncio.to_thread(chain.code, path, manner.template, manner.tokenizer, rows)
        if coded.changed:
            await self._library.run(nodes.save_tokens, manner.coding, coded.changed)
        asked = await asyncio.to_thread(chain.asking, coded, path, manner, again=self._again)
        return Part(speaker, manner, coded, asked)

    async def _generate(self, thread: Thread, node: Node, part: Part) -> None:
        speaker, manner = part.speaker, part.manner
        params, self._used = self._seeded(manner.mode.name), speaker
        job = self._engine.submit(part.asked.request(params, manner.template, part.speaker.initial))
        self._turn.runs(job)
        blank = Reply(
            id=threads.new_id(),
            parent=node.id,
            text="",
            reasoning="",
            status="growing",
            coding=manner.coding,
            tokens=(),
            model=speaker.model,
            template=manner.template.name,
            seed=params.seed,
            params=params,
            mode=manner.mode.name,
        )
        writer = ReplyWriter(self._library, thread.id, blank, speaker, Memory(manner, part.asked))
        try:
            end = await self._follow(job, writer)
        except asyncio.CancelledError:
            job.cancel()
            await _to_the_end(writer.cut("stopped"))
            raise
        except Exception:
            job.cancel()  # where it was not the engine that failed, nobody reads on
            await writer.cut("failed")
            raise
        await _to_the_end(self._finish(thread, end, writer, blank, part))

    def _seeded(self, mode: str) -> SamplingParams:
        """The seed is drawn here, so that it is known even of a reply that a crash cuts."""
        params = self._params(mode)
        return params if params.seed is not None else replace(params, seed=secrets.randbelow(SEEDS))

    async def _follow(self, job: JobLike, writer: ReplyWriter) -> Finished:
        async for event in job:
            if isinstance(event, Piece):
                self._show(writer.add(event), writer)
            elif isinstance(event, Prefilled):
                self._turn.emit(event)
            elif isinstance(event, Finished):
                return event
            elif isinstance(event, Failed):
                raise event.error
        raise EngineClosed

    def _show(self, deltas: tuple[Delta, ...], writer: ReplyWriter) -> None:
        speed = self._speed.tick(writer.tokens)
        for each in deltas:
            self._totals[each.part] += len(each.text)
            self._turn.emit(ReplyGrew(each.text, self._totals[each.part], writer.tokens, speed, each.part))

    async def _finish(
        self, thread: Thread, end: Finished, writer: ReplyWriter, blank: Reply, part: Part
    ) -> None:
        self._show(writer.rest(), writer)
        reply = replace(blank, status=STATUS[end.reason], seed=end.usage.seed, usage=end.usage)
        saved = await writer.finish(end, reply, part.coded.prefix)
        thread, node = saved or (thread, None)
        if node is not None:
            thread = await self._described(thread, node, part.speaker.model)
            self._settle(thread, node, part)
        self._engine.keep(await self._library.run(threads.tip_keys))  # where conversations go on from
        self._turn.emit(Answered(thread, node, end.usage, end.reason))

    async def _described(self, thread: Thread, node: Node, model: str) -> Thread:
        if (thread.model, thread.template) == (model, node.template):
            return thread
        return await self._library.run(threads.describe, thread.id, model, node.template)

    def _settle(self, thread: Thread, node: Node, part: Part) -> None:
        """Where the engine's state is not the one to go on from, it makes that one meanwhile."""
        if not Memory(part.manner, part.asked).is_saved(node.message.reasoning):
            initial, reply = part.speaker.initial, node.tokens or ()
            self._desk.settle(thread.id, chain.settling(part.coded, part.asked, reply, initial))


async def _to_the_end(work: Awaitable[None]) -> None:
    """Await a commit that must not be left half done when the program quits."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
