"""One turn, from the committed message to the committed reply. The order is the point:

message committed → model ready → its tokens committed → submitted → the reply written as it grows → its end
committed with the exact tokens that will be remembered, and the tip moved → where those are not the ones that
were drawn, the engine is asked to read them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.errors import EngineError, ModelNotLoaded, Unexpected, WorkerDied
from rwkv_chat.library import sampled
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session.errors import NothingToContinue, SessionError, ThreadElsewhere
from rwkv_chat.session.events import Answered, Committed, TurnFailed, WaitingForModel
from rwkv_chat.session.prepared import prepared
from rwkv_chat.session.reading import save_tokens
from rwkv_chat.session.replying import Part, Replying
from rwkv_chat.session.wish import ANSWER
from rwkv_chat.templates import TemplateInvalid
from rwkv_chat.windows import SpokenElsewhere

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.types import FeedRequest
    from rwkv_chat.library.database import Library
    from rwkv_chat.library.sampled import Earlier
    from rwkv_chat.session.adapters import Adapters
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.initials import Initials
    from rwkv_chat.session.kept_chains import KeptChains
    from rwkv_chat.session.models import Models
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.turn import Turn
    from rwkv_chat.session.wish import Sampled, Wish
    from rwkv_chat.transcript import Node, Thread
    from rwkv_chat.windows import Windows

LET_GO_SECONDS, LOOK_SECONDS = 0.5, 0.02
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every turn works with.

    Attributes:
        usual_mode: the think mode in the settings ("" for none).
        sampling: how replies are sampled where nobody says otherwise.
        initials: the states that chains begin from.  adapters: what conversations speak with.
        windows: those that are open.
        chains: those that were coded lately.
        settle: has the engine read, behind the turn's back, what will be remembered of a conversation, with
            this adapter.
        pauses: whether a reply that says the same again and again ends there.
        measuring: held by whoever walks over a whole conversation.
    """

    library: Library
    models: Models
    engine: EngineLike
    usual_mode: Callable[[], str]
    sampling: Sampled
    initials: Initials
    windows: Windows
    adapters: Adapters
    settle: Callable[[str, FeedRequest, str], None]
    chains: KeptChains
    pauses: Callable[[], bool] = lambda: False
    measuring: asyncio.Lock = field(default_factory=asyncio.Lock)


class Answering:
    """Runs one turn and tells it what happens."""

    def __init__(self, desk: Desk, turn: Turn, params: Sampled, wish: Wish = ANSWER) -> None:
        """`params`: how to sample in a think mode."""
        self._desk, self._turn, self._params, self._wish = desk, turn, params, wish
        self._library, self._models = desk.library, desk.models
        self._used: Speaker | None = None
        self._loaded_again = False

    async def run(self, begin: Callable[[], Awaitable[tuple[Thread, Node]]]) -> None:
        """The whole turn; every error ends in `TurnFailed`, and only cancellation comes out."""
        try:
            with ExitStack() as alone:
                await self._enter(alone)
                thread, node = await begin()
                if not self._wish.aside:
                    self._turn.emit(Committed(thread, node))
                await self._answer(thread, node)
        except SpokenElsewhere as error:
            self._turn.emit(TurnFailed(ThreadElsewhere(error.thread)))
        except (EngineError, LibraryError, SessionError, TemplateInvalid) as error:
            if isinstance(error, WorkerDied | ModelNotLoaded):
                self._models.lost(self._used)
            self._turn.emit(TurnFailed(error))
        except Exception as error:
            log.exception("a turn failed")
            self._turn.emit(TurnFailed(Unexpected(type(error).__name__, str(error))))
        finally:
            self._turn.close()

    async def _enter(self, alone: ExitStack) -> None:
        """A window that was just killed has its locks until the system has taken its memory back.

        Raises: SpokenElsewhere.
        """
        until = time.monotonic() + LET_GO_SECONDS
        while True:
            try:
                alone.enter_context(self._desk.windows.speaking(self._turn.thread))
                return
            except SpokenElsewhere:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(LOOK_SECONDS)

    async def _answer(self, thread: Thread, node: Node) -> None:
        while (speaker := await self._speaker()) is not None:
            part = await self._part(thread, node, speaker)
            # if the model was changed meanwhile, its tokens are other ones
            if speaker is self._models.speaker and await self._generated(thread, part):
                return
        self._turn.emit(Answered(thread, None, None, "cancelled"))

    async def _generated(self, thread: Thread, part: Part) -> bool:
        """False where the engine had lost the model before (its process died while nothing was asked of
        it): it is loaded again, once.
        """
        self._used = part.speaker
        try:
            await Replying(self._desk, self._turn, thread, part, self._params).run()
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
        wish = self._wish
        tip, unkept = (node.parent, (node,)) if wish.aside else (node.id, ())
        there = await prepared(self._desk, thread, tip, speaker, wish, unkept)
        initial = await self._desk.initials.of(thread, speaker)
        adapter = await self._desk.adapters.of(thread, speaker)
        coded = replace(there.coded, initial=initial, adapter=adapter)
        written = node.id if wish.aside or wish.goes_on else ""
        if changed := tuple(each for each in coded.changed if each.node != written):
            await save_tokens(self._library, there.manner.coding, changed)
        asked = await asyncio.to_thread(there.asking)
        if wish.goes_on and not (asked.lead or there.drawn):
            raise NothingToContinue(thread.id)
        last = there.whole[-1].node
        earlier = await self._earlier(last, len(there.drawn or asked.lead)) if wish.goes_on else ()
        return Part(speaker, there.manner, coded, asked, last, wish, earlier)

    async def _earlier(self, node: Node, length: int) -> Earlier:
        """How the `length` tokens of a cut reply were sampled."""
        return (await self._library.run(sampled.drawn, node.id)).up_to(length)
