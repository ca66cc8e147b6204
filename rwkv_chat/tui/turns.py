"""Replies being written, one per conversation. They belong to the app, not to a screen: a reply goes on while
another conversation or mode is shown."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Literal

from engine.errors import Unexpected
from engine.types import Prefilled
from rwkv_chat.session.events import (
    Answered,
    Committed,
    ReplyGrew,
    Resumed,
    TurnFailed,
    WaitingForModel,
)
from rwkv_chat.unforeseen import begin, report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rwkv_chat.session import Turn, TurnEvent

    Listener = Callable[["LiveReply", TurnEvent], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(eq=False)
class LiveReply:
    """A reply that is on its way.

    Attributes:
        thread: id of its conversation.
        question: what was sent, "" for a reply to an older message.
        text, reasoning: all that came so far.
        waiting: the model is still loading.  stopping: the person asked to stop.
        prefilled: the last progress of reading.  rate: tokens per second of decoding.
        thought_since, thought_until: when its thinking began and ended (monotonic seconds), None before.
        typed: the command that asked for it, which stands in the prompt again where it fails.
        kind: "several" for alternatives that are written at once, "aside" for what is not kept.
        texts: by number, what came of each of several.  ended: nothing more comes.
        answered: the end of it, where it ended well.  failed: it did not.
        committed: what was sent is on the disk.
        resumed: it goes on after a crash; how its sampling was changed since.
    """

    turn: Turn
    thread: str
    question: str = ""
    typed: str = ""
    text: str = ""
    reasoning: str = ""
    waiting: bool = False
    stopping: bool = False
    prefilled: Prefilled | None = None
    rate: float = 0.0
    thought_since: float | None = None
    thought_until: float | None = None
    kind: Literal["reply", "several", "aside"] = "reply"
    texts: dict[int, str] = field(default_factory=dict)
    ended: bool = False
    answered: Answered | None = None
    failed: bool = False
    committed: bool = False
    resumed: Resumed | None = None

    @property
    def thought_seconds(self) -> float:
        """How long it has been thinking so far, or thought; 0 where it does not."""
        if self.thought_since is None:
            return 0.0
        return (self.thought_until or monotonic()) - self.thought_since

    def take(self, event: TurnEvent) -> None:
        match event:
            case Committed():
                self.committed = True
            case WaitingForModel():
                self.waiting = True
            case Resumed():
                self.resumed = event
            case Prefilled():
                self.waiting, self.prefilled = False, event
            case ReplyGrew(part="reasoning"):
                self.thought_since = self.thought_since or monotonic()
                self.reasoning += event.text
            case ReplyGrew():
                self.thought_until = self.thought_until or monotonic()
                self.text += event.text
                self.texts[event.index] = self.texts.get(event.index, "") + event.text
        if isinstance(event, ReplyGrew):
            self.waiting, self.rate = False, event.tokens_per_second

    def stop(self) -> None:
        """Ask for the end; what was said so far is kept."""
        self.stopping = True
        self.turn.stop()


class Turns:
    """Follows every running turn and tells the listener each event, in order."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self._running: dict[LiveReply, asyncio.Task[None]] = {}

    def follow(
        self,
        turn: Turn,
        question: str = "",
        kind: Literal["reply", "several", "aside"] = "reply",
        typed: str = "",
    ) -> LiveReply:
        live = LiveReply(turn, turn.thread, question, typed, kind=kind)
        self._running[live] = begin(self._follow(live))
        return live

    def of(self, thread: str | None) -> LiveReply | None:
        """The reply being written in a conversation."""
        return next((each for each in self._running if each.thread == thread), None)

    def asked_by(self, typed: str) -> bool:
        """Whether a reply is being written that a command asked for."""
        return any(each.typed == typed for each in self._running)

    @property
    def busy(self) -> frozenset[str]:
        """Conversations in which a reply is being written."""
        return frozenset(each.thread for each in self._running)

    async def stop(self, thread: str) -> None:
        """End a conversation's reply and wait until it is kept."""
        live = self.of(thread)
        if live is not None:
            live.stop()
            await asyncio.wait([self._running[live]])

    async def close(self) -> None:
        """End all replies and wait until they are kept."""
        tasks = list(self._running.values())
        for live in self._running:
            live.stop()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow(self, live: LiveReply) -> None:
        last: TurnEvent | None = None
        try:
            async for event in live.turn:
                if isinstance(event, Answered | TurnFailed):
                    last = event
                    break
                live.take(event)
                await self._tell(live, event)
        except Exception as error:
            log.exception("a turn ended unexpectedly")
            last = TurnFailed(Unexpected(type(error).__name__, ""))
        finally:
            del self._running[live]
            live.ended, live.failed = True, isinstance(last, TurnFailed)
        if isinstance(last, Answered):
            live.answered = last
        if last is not None:
            await self._tell(live, last)

    async def _tell(self, live: LiveReply, event: TurnEvent) -> None:
        """A listener's own mistake must not end the reply."""
        if self.listener is None:
            return
        try:
            await self.listener(live, event)
        except Exception as error:
            report(error)
