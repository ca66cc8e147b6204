"""From a request to replies that are written down: the engine's job, and a lane for each reply."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import EngineClosed
from engine.types import (
    Cancelled,
    Failed,
    Fed,
    FeedRequest,
    Finished,
    NotSaved,
    Piece,
    Prefilled,
    Resampled,
)
from rwkv_chat.library import ladders, threads
from rwkv_chat.library.nodes import Reply
from rwkv_chat.own_words import BANS, banned, texts_of, with_stops
from rwkv_chat.session import chain
from rwkv_chat.session.events import Answered, ReplyEnded, ReplyGrew, Resumed
from rwkv_chat.session.memory import Memory
from rwkv_chat.session.speed import Speedometer, Thinking
from rwkv_chat.session.writing import Growing, ReplyWriter, given_of
from rwkv_chat.transcript import Node
from rwkv_chat.unforeseen import begin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from engine.types import FinishReason, GenerateRequest, SamplingParams, Usage
    from rwkv_chat.library.sampled import Earlier
    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.border import JobLike
    from rwkv_chat.session.chain import Asking, Chain
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.reply import Delta
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.turn import Turn
    from rwkv_chat.session.wish import Sampled, Wish
    from rwkv_chat.transcript import NodeStatus, Thread

SEEDS = 2**63
STATUS: dict[FinishReason, NodeStatus] = {
    "stop": "complete",
    "length": "length",
    "cancelled": "stopped",
    "repeats": "stopped",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One reply's part: who speaks, how, after what.

    Attributes:
        node: the message that is answered; the cut reply where one goes on.
        earlier: how that was sampled.
    """

    speaker: Speaker
    manner: Manner
    coded: Chain
    asked: Asking
    node: Node
    wish: Wish
    earlier: Earlier = ()

    @property
    def led(self) -> int:
        """How many of the reply's tokens come before the first one that the engine counts."""
        return 0 if self.asked.begun else len(self.asked.lead)

    def sampled(self, params: SamplingParams, own: Mapping[str, Any]) -> SamplingParams:
        """With what a conversation bans."""
        bans = banned(texts_of(own, BANS), self.manner.tokenizer).ids
        return replace(params, bans=tuple(dict.fromkeys((*params.bans, *bans)))) if bans else params

    @property
    def before(self) -> str:
        """The key of what stands before the reply."""
        return self.coded.before_tip if self.wish.goes_on and not self.asked.drawn else self.coded.prefix

    def blank(self, params: SamplingParams, usual: SamplingParams, index: int) -> Reply:
        """Alternative `index` before its first word, with what is usual (see `sampled.Drawn`)."""
        goes_on, node = self.wish.goes_on, self.node
        return Reply(
            id=threads.new_id(),
            parent=node.parent if goes_on else node.id,
            text="",
            reasoning="",
            status="growing",
            coding=self.manner.coding,
            tokens=(),
            model=self.speaker.model,
            template=self.manner.template.name,
            seed=((params.seed or 0) + index) % SEEDS,
            params=params,
            mode=self.manner.mode.name,
            origin=node.id if goes_on else None,
            only_from_parent=self.wish.number > 1,
            earlier=self.earlier,
            usual=usual,
            thought_seconds=node.thought_seconds if goes_on else 0.0,
        )


class Lane:
    """One of the replies that are written at once.

    Attributes:
        node: the reply as it was committed; None before its end, or where nothing came.
    """

    def __init__(self, turn: Turn, index: int, writer: Growing, blank: Reply) -> None:
        self.index, self.writer, self.blank = index, writer, blank
        self.node: Node | None = None
        self.end: Finished | None = None
        self.thinking = Thinking(blank.thought_seconds)
        self._turn, self._speed = turn, Speedometer()
        self._totals = {"answer": 0, "reasoning": 0}

    def resampled(self, position: int, params: SamplingParams, usual: SamplingParams) -> None:
        """Other params from that token of the reply on, which keeps its own seed."""
        old = self.blank
        before = (*old.earlier, (position, old.params)) if old.params is not None else old.earlier
        seed = None if old.params is None else old.params.seed
        self.blank = replace(old, params=replace(params, seed=seed), earlier=before, usual=usual)
        if isinstance(self.writer, ReplyWriter):
            self.writer.blank = self.blank

    def show(self, deltas: tuple[Delta, ...], *, drawn: bool = True) -> None:
        """Tell what is new; what was not `drawn` says nothing of the speed."""
        speed = self._speed.tick(self.writer.tokens) if drawn else 0.0
        for each in deltas:
            if drawn:
                self.thinking.take(each.part)
            self._totals[each.part] += len(each.text)
            total, tokens = self._totals[each.part], self.writer.tokens
            self._turn.emit(ReplyGrew(each.text, total, tokens, speed, each.part, self.index))


class Replying:
    """Has one part answered, and writes the replies down."""

    def __init__(self, desk: Desk, turn: Turn, thread: Thread, part: Part, params: Sampled) -> None:
        self._desk, self._turn, self._thread, self._part = desk, turn, thread, part
        self._sampled = params
        self._own: Mapping[str, Any] = thread.sampling
        self._changing: asyncio.Task[None] | None = None
        self._before: Usage | None = None

    async def run(self) -> None:
        """Raises: EngineError, LibraryError."""
        part = self._part
        self._params, self._usual = await self._chosen(self._own)
        self._params = _seeded(self._params)
        if (was := part.wish.was) is not None:
            self._turn.emit(Resumed(was.changed(self._usual), was.counted))
        if part.wish.begin and not part.wish.again and not await self._fed():
            self._turn.emit(Answered(self._thread, None, None, "cancelled"))
            return
        job = await self._desk.adapters.submit(self._request(), part.coded.adapter)
        self._turn.runs(job, partial(self._resample, job))
        lanes = [self._lane(index) for index in range(part.wish.number)]
        try:
            await self._follow(job, lanes)
        except asyncio.CancelledError:
            job.cancel()
            await _to_the_end(_cut(lanes, "stopped"))
            raise
        except Exception:
            job.cancel()  # where it was not the engine that failed, nobody reads on
            await _cut(lanes, "failed")
            raise
        await _to_the_end(self._finish(lanes))

    def _request(self) -> GenerateRequest:
        part = self._part
        stop = with_stops(part.manner.template.stop, self._thread.sampling)
        request = part.asked.request(self._params, stop, part.coded.initial, part.wish.number)
        repeats = self._desk.pauses() and not part.wish.repeating
        return replace(request, earlier=part.earlier, repeats=repeats)

    def _given(self, own: Mapping[str, Any]) -> tuple[SamplingParams, SamplingParams]:
        """As it is asked for, and what the settings and the conversation's own choices come to."""
        mode = self._part.manner.mode.name
        return self._sampled(mode, own), self._desk.sampling(mode, own)

    def _with_bans(
        self, given: tuple[SamplingParams, SamplingParams], own: Mapping[str, Any]
    ) -> tuple[SamplingParams, SamplingParams]:
        chosen, usual = (self._part.sampled(each, own) for each in given)
        was = self._part.wish.was
        return chosen if was is None else was.now(chosen), usual

    async def _chosen(self, own: Mapping[str, Any]) -> tuple[SamplingParams, SamplingParams]:
        """What is banned is encoded off the loop: a vocabulary may have to be read for it."""
        given = self._given(own)
        if own.get(BANS):
            return await asyncio.to_thread(self._with_bans, given, own)
        return self._with_bans(given, own)

    def _resample(self, job: JobLike, own: Mapping[str, Any]) -> None:
        """As it would be sampled if it began now, but for the seed."""
        self._own = own
        if own.get(BANS):
            self._changing = begin(self._change(job, own))
        else:
            self._take(job, *self._with_bans(self._given(own), own))

    async def _change(self, job: JobLike, own: Mapping[str, Any]) -> None:
        found = await self._chosen(own)
        if own is self._own:  # else something newer holds
            self._take(job, *found)

    def _take(self, job: JobLike, params: SamplingParams, usual: SamplingParams) -> None:
        self._usual = usual
        self._desk.engine.change(job, replace(params, seed=self._params.seed))

    async def _fed(self) -> bool:
        """Has the message read by itself, so that its state is there for other replies; whether it was."""
        coded, whole = self._part.coded, self._part.coded.tokens
        at = len(whole) - coded.tip
        initial = coded.initial
        request = FeedRequest(whole[at:], whole[:at], coded.before_tip, initial, background=False)
        job = await self._desk.adapters.submit(request, coded.adapter)
        self._turn.runs(job)
        async for event in job:
            if isinstance(event, Prefilled):
                self._turn.emit(event)
            elif isinstance(event, Fed):
                self._before = event.usage
                return not self._turn.stopping.is_set()
            elif isinstance(event, Failed):
                raise event.error
            elif isinstance(event, Cancelled):
                return False
        raise EngineClosed

    def _lane(self, index: int) -> Lane:
        part = self._part
        memory, given = (
            Memory(part.manner, part.asked),
            given_of(part.node, part.asked, part.manner, part.wish),
        )
        blank = part.blank(self._params, self._usual, index)
        if part.wish.aside:
            writer = Growing(part.speaker, memory, given)
        else:
            writer = ReplyWriter(self._desk.library, self._thread.id, blank, part.speaker, memory, given)
        lane = Lane(self._turn, index, writer, blank)
        lane.show(given.deltas, drawn=False)
        return lane

    async def _follow(self, job: JobLike, lanes: list[Lane]) -> None:
        missing = len(lanes)
        async for event in job:
            if isinstance(event, Piece):
                lane = lanes[event.index]
                lane.show(lane.writer.add(event))
            elif isinstance(event, Prefilled | NotSaved):
                self._turn.emit(event)
            elif isinstance(event, Resampled):
                for lane in lanes:
                    lane.resampled(event.position + self._part.led, event.params, self._usual)
            elif isinstance(event, Finished):
                await _to_the_end(self._ended(lanes[event.index], event))
                missing -= 1
                if not missing:
                    return
            elif isinstance(event, Failed):
                raise event.error
        raise EngineClosed

    async def _ended(self, lane: Lane, end: Finished) -> None:
        """Commit one reply."""
        lane.show(lane.writer.rest())
        lane.end = end = replace(end, usage=_sum(self._before, end.usage))
        reply = replace(
            lane.blank,
            status=STATUS[end.reason],
            seed=end.usage.seed,
            usage=end.usage,
            thought_seconds=lane.thinking.seconds,
        )
        if isinstance(lane.writer, ReplyWriter):
            saved = await lane.writer.finish(end, reply, self._part.before)
            self._thread, lane.node = saved or (self._thread, None)
        if self._part.wish.number > 1:
            self._turn.emit(ReplyEnded(lane.index, lane.node, end.usage, end.reason))

    async def _finish(self, lanes: list[Lane]) -> None:
        first = next((each for each in lanes if each.node is not None), lanes[0])
        end, node = first.end, first.node
        if node is not None:
            await self._described(node)
            self._settle(node)
        if self._part.wish.aside:
            node = Node("", None, first.writer.message)
        else:
            self._desk.engine.tell(await self._desk.library.run(ladders.of_thread, self._thread.id))
        usage, reason = (end.usage, end.reason) if end else (None, "cancelled")
        others = tuple(each.node for each in lanes if each.node is not None)
        self._turn.emit(Answered(self._thread, node, usage, reason, others if len(lanes) > 1 else ()))

    async def _described(self, node: Node) -> None:
        model = self._part.speaker.model
        if (self._thread.model, self._thread.template) != (model, node.template):
            run = self._desk.library.run
            self._thread = await run(threads.describe, self._thread.id, model, node.template)

    def _settle(self, node: Node) -> None:
        """Where the engine's state is not the one to go on from, it makes that one meanwhile."""
        part = self._part
        if not Memory(part.manner, part.asked).is_saved(node.message.reasoning):
            reply = node.tokens or ()
            request = chain.settling(part.coded, part.asked, reply)
            self._desk.settle(self._thread.id, request, part.coded.adapter)


def _seeded(params: SamplingParams) -> SamplingParams:
    """The seed is drawn here, so that it is known even of a reply that a crash cuts."""
    return params if params.seed is not None else replace(params, seed=secrets.randbelow(SEEDS))


def _sum(one: Usage | None, other: Usage) -> Usage:
    """What two requests cost, of which the second one wrote the reply."""
    if one is None:
        return other
    return replace(
        other,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        history_tokens=one.history_tokens + other.history_tokens,
        prefill_seconds=one.prefill_seconds + other.prefill_seconds,
        source=one.source,
    )


async def _cut(lanes: list[Lane], status: NodeStatus) -> None:
    for each in lanes:
        if each.end is None and isinstance(each.writer, ReplyWriter):
            await each.writer.cut(status)


async def _to_the_end(work: Awaitable[None]) -> None:
    """Await a commit that must not be left half done when the program quits."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
