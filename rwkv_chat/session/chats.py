"""Conversations: list, open, name, delete, and speak in them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat import templates
from rwkv_chat.library import nodes, threads
from rwkv_chat.session import reading
from rwkv_chat.session.answering import SEEDS, Answering, Desk
from rwkv_chat.session.errors import EmptyMessage, NothingToRegenerate, SessionClosed, ThreadBusy
from rwkv_chat.session.exact import exact_prompt
from rwkv_chat.session.readings import Readings, thread_and_tip
from rwkv_chat.session.titles import title_from
from rwkv_chat.session.turn import Turn
from rwkv_chat.templates import scrub
from rwkv_chat.transcript import Conversation, Thread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

    from engine.types import FeedRequest, SamplingParams
    from rwkv_chat.library.database import Library
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.exact import ExactPrompt
    from rwkv_chat.session.models import Models
    from rwkv_chat.session.reading import ToRead
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.transcript import Node

    Begin = Callable[[], Awaitable[tuple[Thread, Node]]]
    Params = SamplingParams | Callable[[SamplingParams], SamplingParams] | None


class Chats:
    """The use cases of conversations. One reply at a time in each of them.

    All but `send` and `regenerate` raise LibraryError; those two give a `Turn`, whose last event tells.
    """

    def __init__(
        self,
        library: Library,
        models: Models,
        engine: EngineLike,
        sampling: Callable[[str], SamplingParams],
        usual_mode: Callable[[], str] = str,
    ) -> None:
        """`sampling`: how to sample in a think mode ("" for the usual one)."""
        self._library, self._sampling = library, sampling
        self.desk = Desk(library, models, engine, usual_mode, self._settle)
        self._turns: dict[str, tuple[Turn, asyncio.Task[None]]] = {}
        self._readings = Readings()
        self._closed = False

    # ------------------------------------------------------------------ looking

    async def threads(self) -> tuple[Thread, ...]:
        """Conversations that are not deleted, newest first."""
        return await self._library.run(threads.alive)

    async def deleted(self) -> tuple[Thread, ...]:
        """Conversations in the trash, last deleted first."""
        return await self._library.run(threads.deleted)

    async def open(self, thread_id: str) -> Conversation:
        """A conversation's messages up to its tip. A node that is "growing" while `turn(thread_id)` is None
        was cut by a crash: it is shown as it is and can be gone on from. Token ids are not read.
        """
        return await self._library.run(_conversation, thread_id)

    def turn(self, thread_id: str) -> Turn | None:
        """The turn that is running in a conversation."""
        running = self._turns.get(thread_id)
        return running[0] if running else None

    # ------------------------------------------------------------------ keeping

    async def create(self, title: str = "") -> Thread:
        return await self._library.run(threads.create, title_from(title))

    async def rename(self, thread_id: str, title: str) -> Thread:
        return await self._library.run(threads.rename, thread_id, title_from(title))

    async def delete(self, thread_id: str) -> Thread:
        """Into the trash, from where `restore` takes it back for 30 days; a reply being written is stopped
        first.
        """
        self._readings.stop(thread_id)
        await self._stop(thread_id)
        return await self._library.run(threads.delete, thread_id)

    async def restore(self, thread_id: str) -> Thread:
        return await self._library.run(threads.restore, thread_id)

    async def configure(
        self,
        thread_id: str,
        *,
        template: str | None = None,
        mode: str | None = None,
        keep_reasoning: bool | None = None,
    ) -> Thread:
        """Choose how a conversation is spoken from its next reply on; None leaves a choice as it is.

        Args:
            template: a name of `templates.names()`; "" goes back to the model's own.
            mode: name of a think mode; "" goes back to the usual one. One that the template does not have
                counts as the usual one.

        Raises:
            TemplateInvalid: there is no such template.
        """
        if template:
            await asyncio.to_thread(templates.template, template)
        return await self._library.run(threads.configure, thread_id, template, mode, keep_reasoning)

    # ------------------------------------------------------------------ reading

    async def exact_prompt(self, thread_id: str | None, text: str = "", system: str = "") -> ExactPrompt:
        """The tokens that the model in use was fed in a conversation, and would be fed with `text` said now
        (None: in a new one; `system` as in `send`). Waits for the model; feeds and keeps nothing.

        Raises:
            EngineError, TemplateInvalid.
        """
        thread, tip = await self._tip(thread_id) if thread_id else (Thread("", "", None), None)
        return await exact_prompt(self.desk, thread, tip, (scrub(system), scrub(text)))

    async def to_read(self, thread_id: str) -> ToRead:
        """What the model in use would have to read before it can go on with a conversation, and for how long.

        Raises:
            EngineError, TemplateInvalid.
        """
        return await reading.to_read(self.desk, *await self._tip(thread_id))

    def read(self, thread_id: str) -> Reading:
        """Have the model in use read a conversation behind all replies ("continue with another model"), so
        that the next message is answered at once. To speak in it stops the reading, and goes on from there.
        The states of other models stay.

        Raises:
            ThreadBusy, SessionClosed.
        """
        self._free(thread_id)
        return self._readings.read(self.desk, thread_id)

    def reading(self, thread_id: str) -> Reading | None:
        """The reading that goes on in a conversation."""
        return self._readings.of(thread_id)

    async def settled(self, thread_id: str) -> None:
        """Wait until nothing of a conversation is being read in the background."""
        await self._readings.settled(thread_id)

    # ------------------------------------------------------------------ speaking

    def send(self, thread_id: str | None, text: str, params: Params = None, *, system: str = "") -> Turn:
        """Say something at a conversation's tip; None begins a new one, titled after the message.

        Args:
            params: how to sample; a function changes what the think mode's own would be.
            system: a system message, put first where the conversation has no message yet.

        Raises:
            ThreadBusy, EmptyMessage, SessionClosed: at once; nothing was committed.
        """
        text = scrub(text)
        if not text.strip():
            raise EmptyMessage
        thread = thread_id or threads.new_id()

        async def begin() -> tuple[Thread, Node]:
            return await self._library.run(
                nodes.append_user,
                thread,
                text,
                title_from(text),
                create=thread_id is None,
                system=scrub(system),
            )

        return self._begin(thread, begin, lambda mode: self._sampled(params, mode))

    def regenerate(self, thread_id: str, params: Params = None) -> Turn:
        """Another reply to the last message, with a new seed, beside the old one; the tip moves to it.

        A seed in `params` is used as it is. Raises: ThreadBusy, SessionClosed.
        """

        async def begin() -> tuple[Thread, Node]:
            return await self._library.run(_question, thread_id)

        def fresh(mode: str) -> SamplingParams:
            sampled = self._sampled(params, mode)
            return sampled if params else replace(sampled, seed=secrets.randbelow(SEEDS))

        return self._begin(thread_id, begin, fresh, again=True)

    async def answer_pending(self, thread_id: str) -> Turn | None:
        """Reply to a message that has none (a crash, a stop, a model that would not load); None if there is
        no such.
        """
        thread, node = await self._library.run(_pending, thread_id)
        if node is None or self._closed or thread_id in self._turns:
            return None

        async def begin() -> tuple[Thread, Node]:
            return thread, node

        return self._begin(thread_id, begin, self._sampling)

    async def close(self) -> None:
        """Stop every reply, keeping what there is of it, and wait until it is on the disk."""
        self._closed = True
        await asyncio.gather(*(self._stop(thread) for thread in tuple(self._turns)))
        await self._readings.close()

    # ------------------------------------------------------------------ inside

    def _sampled(self, params: Params, mode: str) -> SamplingParams:
        if params is None:
            return self._sampling(mode)
        return params(self._sampling(mode)) if callable(params) else params

    def _begin(
        self, thread: str, begin: Begin, params: Callable[[str], SamplingParams], *, again: bool = False
    ) -> Turn:
        self._free(thread)
        turn = Turn(thread)
        answering = Answering(self.desk, turn, params, again=again)
        task = asyncio.get_running_loop().create_task(answering.run(begin))
        self._turns[thread] = turn, task
        turn.on_end(lambda: self._turns.pop(thread, None))
        return turn

    def _free(self, thread: str) -> None:
        """Ends what is being read of a conversation. Raises: ThreadBusy, SessionClosed."""
        if self._closed:
            raise SessionClosed
        if thread in self._turns:
            raise ThreadBusy(thread)
        self._readings.stop(thread)

    def _settle(self, thread: str, request: FeedRequest) -> None:
        if not self._closed:
            self._readings.settle(self.desk, thread, request)

    async def _tip(self, thread: str) -> tuple[Thread, str | None]:
        return await self._library.run(thread_and_tip, thread)

    async def _stop(self, thread: str) -> None:
        if thread in self._turns:
            turn, task = self._turns[thread]
            turn.stop()
            await asyncio.wait([task])


def _conversation(db: sqlite3.Connection, thread: str) -> Conversation:
    found = threads.get(db, thread)
    return Conversation(found, tuple(each.node for each in nodes.path(db, nodes.tip(db, thread))))


def _question(db: sqlite3.Connection, thread: str) -> tuple[Thread, Node]:
    """The message that the tip answers, or the tip itself while nobody answered it."""
    found = threads.get(db, thread)
    asked = next(
        (each.node for each in reversed(nodes.path(db, nodes.tip(db, thread))) if _is_question(each.node)),
        None,
    )
    if asked is None:
        raise NothingToRegenerate(thread)
    return found, asked


def _pending(db: sqlite3.Connection, thread: str) -> tuple[Thread, Node | None]:
    found, last = threads.get(db, thread), nodes.tip(db, thread)
    tip = nodes.get(db, last) if last is not None else None
    return found, tip if tip is not None and _is_question(tip) else None


def _is_question(node: Node) -> bool:
    return node.message.role == "user"
