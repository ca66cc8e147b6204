"""One turn, from the committed message to the committed reply. The order is the point:

message committed → model ready → its tokens committed → submitted → the reply written as it grows → its end
committed with the exact tokens, and the tip moved.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, ModelNotLoaded, Unexpected, WorkerDied
from engine.types import Failed, Finished, GenerateRequest, Piece, Prefilled, SamplingParams
from rwkv_chat.library import nodes, threads
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.library.nodes import Reply
from rwkv_chat.session import chain
from rwkv_chat.session.errors import SessionError
from rwkv_chat.session.events import Answered, Committed, ReplyGrew, TurnFailed, WaitingForModel
from rwkv_chat.session.speed import Speedometer
from rwkv_chat.session.writing import ReplyWriter
from rwkv_chat.templates import TemplateInvalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.types import FinishReason
    from rwkv_chat.library.database import Library
    from rwkv_chat.session.border import EngineLike, JobLike
    from rwkv_chat.session.chain import Chain
    from rwkv_chat.session.models import Models, Speaker
    from rwkv_chat.session.reply import Delta
    from rwkv_chat.session.turn import Turn
    from rwkv_chat.transcript import Node, NodeStatus, Thread

SEEDS = 2**63
STATUS: dict[FinishReason, NodeStatus] = {"stop": "complete", "length": "length", "cancelled": "stopped"}
log = logging.getLogger(__name__)


class Answering:
    """Runs one turn and tells it what happens.

    Attributes:
        again: the person wants another reply to a message that has one: the state after the message is
            taken up as it was, nothing of the old reply is in it.
    """

    def __init__(
        self,
        library: Library,
        models: Models,
        engine: EngineLike,
        turn: Turn,
        params: Callable[[], SamplingParams],
        *,
        again: bool = False,
    ) -> None:
        self._library, self._models, self._engine, self._turn = library, models, engine, turn
        self._params, self._again = params, again
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
            coded = await self._coded(node, speaker)
            # if the model was changed meanwhile, its tokens are other ones
            if speaker is self._models.speaker and await self._generated(thread, node, speaker, coded):
                return
        self._turn.emit(Answered(thread, None, None, "cancelled"))

    async def _generated(self, thread: Thread, node: Node, speaker: Speaker, coded: Chain) -> bool:
        """False where the engine had lost the model before (its process died while nothing was asked of
        it): it is loaded again, once.
        """
        try:
            await self._generate(thread, node, speaker, coded)
        except ModelNotLoaded:
            if self._loaded_again:
                raise
            self._loaded_again = True
            self._models.lost(speaker)
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

    async def _coded(self, node: Node, speaker: Speaker) -> Chain:
        """Encode what this model has not seen, and commit it before it is fed."""
        path = await self._library.run(nodes.path, node.id, speaker.coding)
        rows = speaker.info.spec.vocab_size
        coded = await asyncio.to_thread(chain.code, path, speaker.template, speaker.tokenizer, rows)
        if coded.changed:
            await self._library.run(nodes.save_tokens, speaker.coding, coded.changed)
        return coded

    async def _generate(self, thread: Thread, node: Node, speaker: Speaker, coded: Chain) -> None:
        params, self._used = self._seeded(), speaker
        job = self._engine.submit(self._request(speaker, coded, params))
        self._turn.runs(job)
        blank = Reply(
            id=threads.new_id(),
            parent=node.id,
            text="",
            reasoning="",
            status="growing",
            coding=speaker.coding,
            tokens=(),
            model=speaker.model,
            template=speaker.template.name,
            seed=params.seed,
            params=params,
        )
        writer = ReplyWriter(self._library, thread.id, blank, speaker)
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
        await _to_the_end(self._finish(thread, end, writer, blank, speaker))

    def _seeded(self) -> SamplingParams:
        """The seed is drawn here, so that it is known even of a reply that a crash cuts."""
        params = self._params()
        return params if params.seed is not None else replace(params, seed=secrets.randbelow(SEEDS))

    def _request(self, speaker: Speaker, coded: Chain, params: SamplingParams) -> GenerateRequest:
        known = len(coded.tokens) - (0 if self._again else coded.tip)
        return GenerateRequest(
            prompt=coded.tokens[known:],
            history=coded.tokens[:known],
            start=coded.prefix if self._again else coded.before_tip,
            params=params,
            stop=speaker.template.stop,
        )

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
        self, thread: Thread, end: Finished, writer: ReplyWriter, blank: Reply, speaker: Speaker
    ) -> None:
        self._show(writer.rest(), writer)
        reply = replace(blank, status=STATUS[end.reason], seed=end.usage.seed, usage=end.usage)
        saved = await writer.finish(end, reply)
        thread, node = saved or (thread, None)
        if node is not None and (thread.model, thread.template) != (speaker.model, node.template):
            thread = await self._library.run(threads.describe, thread.id, speaker.model, node.template)
        self._engine.keep(await self._library.run(threads.tip_keys))  # where conversations go on from
        self._turn.emit(Answered(thread, node, end.usage, end.reason))


async def _to_the_end(work: Awaitable[None]) -> None:
    """Await a commit that must not be left half done when the program quits."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
