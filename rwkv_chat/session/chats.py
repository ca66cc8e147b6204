"""Conversations: list, open, name, delete, and speak in them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rwkv_chat import templates
from rwkv_chat.library import nodes, threads
from rwkv_chat.session import asked, reading
from rwkv_chat.session.errors import EmptyMessage
from rwkv_chat.session.exact import exact_prompt, unsaid
from rwkv_chat.session.readings import thread_and_tip
from rwkv_chat.session.replying import SEEDS
from rwkv_chat.session.titles import title_from
from rwkv_chat.session.token_scores import token_scores
from rwkv_chat.session.wish import ANSWER, MOST_ALTERNATIVES, Wish
from rwkv_chat.templates import scrub
from rwkv_chat.transcript import ChatMessage, Conversation, Node, unbegun

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Mapping

    from engine.types import Prefilled, SamplingParams, TokenIds
    from rwkv_chat.session.exact import ExactPrompt
    from rwkv_chat.session.reading import ToRead
    from rwkv_chat.session.token_scores import TokenRows
    from rwkv_chat.session.turn import Reading, Turn
    from rwkv_chat.session.turns import Turns
    from rwkv_chat.session.wish import Sampled
    from rwkv_chat.transcript import Thread, ThreadKind

    Params = SamplingParams | Callable[[SamplingParams], SamplingParams] | None

NOBODY = unbegun()  # has no choices of its own


class Chats:
    """The use cases of conversations. One reply at a time in each of them.

    What gives a `Turn` raises only what it says: the turn's last event tells all other errors. Everything
    else raises LibraryError.
    """

    def __init__(self, turns: Turns, sampling: Sampled) -> None:
        """`sampling`: how to sample in a think mode ("" for the usual one), with a conversation's own."""
        self._turns, self._sampling = turns, sampling
        self._desk, self._library = turns.desk, turns.desk.library

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
        return self._turns.of(thread_id)

    # ------------------------------------------------------------------ keeping

    async def create(self, title: str = "", kind: ThreadKind = "chat") -> Thread:
        """A new conversation; one of the kind "text" is written by `Texts`."""
        return await self._library.run(threads.create, title_from(title), kind=kind)

    async def rename(self, thread_id: str, title: str) -> Thread:
        return await self._library.run(threads.rename, thread_id, title_from(title))

    async def delete(self, thread_id: str) -> Thread:
        """Into the trash, from where `restore` takes it back for 30 days; a reply being written is stopped
        first.
        """
        self._turns.readings.stop(thread_id)
        await self._turns.stop(thread_id)
        await self._turns.readings.changed(thread_id)
        self._desk.chains.clear()  # nothing of what may be erased is held
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
        sampling: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Choose how a conversation is spoken from its next reply on; None leaves a choice as it is.

        Args:
            template: a name of `templates.names()`; "" goes back to the model's own.
            mode: name of a think mode; "" goes back to the usual one. One that the template does not have
                counts as the usual one.
            sampling: how it differs from the model's own, by field of `SamplingParams`, and the lists of
                `rwkv_chat.own_words`. A reply that is being written goes on so (but for stop texts).

        Raises:
            TemplateInvalid: there is no such template.
        """
        if template:
            await asyncio.to_thread(templates.template, template)
        chosen = (template, mode, keep_reasoning, sampling)
        thread = await self._library.run(threads.configure, thread_id, *chosen)
        if sampling is not None and (turn := self.turn(thread_id)) is not None:
            turn.resample(thread.sampling)
        return thread

    async def resample(self) -> None:
        """The settings' sampling was changed: replies that are being written go on so."""
        for thread_id in self._turns.running:
            thread = await self._library.run(threads.get, thread_id)
            if (turn := self.turn(thread_id)) is not None:
                turn.resample(thread.sampling)

    # ------------------------------------------------------------------ reading

    async def exact_prompt(
        self,
        thread_id: str | None,
        text: str = "",
        system: str = "",
        *,
        wish: Wish = ANSWER,
        chosen: Thread = NOBODY,
    ) -> ExactPrompt:
        """The tokens that stand in a conversation for the model in use, and those that it would be fed with
        `text` said now (`system` as in `send`). Waits for the model; feeds and keeps nothing.

        Args:
            thread_id: None for a new one, with the choices of `chosen`.
            wish: what the turn would be: an aside, another reply, one that goes on.

        Raises:
            EngineError, TemplateInvalid; SessionError: there is nothing to reply to, or to go on with.
        """
        thread, tip = await self._place(thread_id, wish) if thread_id else (chosen, None)
        said = (unsaid("user", scrub(text)),) if text else ()
        if system.strip() and tip is None:
            said = (unsaid("system", scrub(system)), *said)
        return await exact_prompt(self._desk, thread, tip, wish, said)

    async def _place(self, thread_id: str, wish: Wish) -> tuple[Thread, str | None]:
        """The message where a turn would begin. Raises: LibraryError, SessionError."""
        if not (wish.again or wish.goes_on):
            return await self._tip(thread_id)
        thread, node = await self._library.run(asked.cut_reply if wish.goes_on else asked.question, thread_id)
        return thread, node.id

    async def to_read(self, thread_id: str) -> ToRead:
        """What the model in use would have to read before it can go on with a conversation, and for how long.

        Raises:
            EngineError, TemplateInvalid.
        """
        return await reading.to_read(self._desk, *await self._tip(thread_id))

    def read(self, thread_id: str) -> Reading:
        """Have the model in use read a conversation behind all replies ("continue with another model"), so
        that the next message is answered at once. To speak in it stops the reading, and goes on from there.
        The states of other models stay.

        Raises:
            ThreadBusy, SessionClosed.
        """
        self._turns.free(thread_id)
        return self._turns.readings.read(self._desk, thread_id)

    def reading(self, thread_id: str) -> Reading | None:
        """The reading that goes on in a conversation."""
        return self._turns.readings.of(thread_id)

    async def settled(self, thread_id: str) -> None:
        """Wait until nothing of a conversation is being read in the background."""
        await self._turns.readings.settled(thread_id)

    # ------------------------------------------------------------------ speaking

    def send(
        self, thread_id: str | None, text: str, params: Params = None, *, system: str = "", begin: str = ""
    ) -> Turn:
        """Say something at a conversation's tip; None begins a new one, titled after the message.

        Args:
            params: how to sample; a function changes what the think mode's own would be.
            system: a system message, put first where the conversation has no message yet.
            begin: what the reply begins with; it does not think then.

        Raises:
            ThreadBusy, EmptyMessage, SessionClosed: at once; nothing was committed.
        """
        text = scrub(text)
        if not text.strip():
            raise EmptyMessage
        thread = thread_id or threads.new_id()

        async def commit() -> tuple[Thread, Node]:
            return await self._library.run(
                nodes.append_user,
                thread,
                text,
                title_from(text),
                create=thread_id is None,
                system=scrub(system),
            )

        return self._turns.begin(thread, commit, self.sampled(params), Wish(begin=_words(begin)))

    def regenerate(
        self, thread_id: str, params: Params = None, *, node: str | None = None, begin: str = ""
    ) -> Turn:
        """Another reply to the last message, with a new seed, beside the old one; the tip moves to it.

        A seed in `params` is used as it is.

        Args:
            node: a message or its reply, in place of the last ones.
            begin: as in `send`.

        Raises:
            ThreadBusy, SessionClosed.
        """
        wish = Wish(again=True, begin=_words(begin))
        return self._again(thread_id, asked.question, node, self.fresh(params), wish)

    def alternatives(
        self, thread_id: str, number: int, params: Params = None, *, node: str | None = None
    ) -> Turn:
        """Several replies to the last message, decoded at once from one state: `ReplyGrew.index` tells them
        apart. The tip moves to the first that begins; `Branches.switch` chooses another.

        Args:
            number: 2 to 8.
            node: as in `regenerate`.

        Raises:
            ThreadBusy, SessionClosed, ValueError.
        """
        if not 2 <= number <= MOST_ALTERNATIVES:
            raise ValueError(number)
        wish = Wish(again=True, number=number)
        return self._again(thread_id, asked.question_waits, node, self.fresh(params), wish)

    def with_tokens(
        self, thread_id: str, node: Node, lead: TokenIds, params: Params = None, *, drawn: bool = False
    ) -> Turn:
        """Another reply, beside `node`, that begins with these tokens: those of `node` up to one in whose
        place another was wanted, and that one.

        Args:
            drawn: of `node` as it was drawn, with thoughts that are not remembered: nor are the other's.

        Raises:
            ThreadBusy, SessionClosed.
        """
        wish = Wish(again=True, lead=lead, mode=node.mode, drawn=drawn)
        return self._again(thread_id, asked.question, node.id, self.fresh(params), wish)

    def token_scores(self, thread_id: str, node: str) -> AsyncIterator[Prefilled | TokenRows]:
        """How likely each token of a message was: progress, then tokens as they are read, in order. See
        `rwkv_chat.session.token_scores`.

        Raises:
            EngineError, TemplateInvalid.
        """
        return token_scores(self._desk, self._library, thread_id, node)

    def continue_reply(self, thread_id: str, params: Params = None, *, repeating: bool = False) -> Turn:
        """Have the reply at the tip go on, with its own seed and place in the random numbers: after a crash
        it is the reply that it would have been. What was cut is hidden once all of it is in the new one.

        Args:
            repeating: it may say the same again and again.

        The turn fails with NothingToContinue (ReplyWhole, where nothing was cut).

        Raises:
            ThreadBusy, SessionClosed.
        """

        seeds: list[int] = []

        async def commit() -> tuple[Thread, Node]:
            thread, node = await self._library.run(asked.cut_reply, thread_id)
            seeds.extend([] if node.seed is None else [node.seed])
            return thread, node

        def as_before(mode: str, own: Mapping[str, Any]) -> SamplingParams:
            sampled = self.sampled(params)(mode, own)
            return sampled if sampled.seed is not None or not seeds else replace(sampled, seed=seeds[0])

        return self._turns.begin(thread_id, commit, as_before, Wish(goes_on=True, repeating=repeating))

    async def resume(self, thread_id: str) -> Turn | None:
        """Have a reply go on that a crash cut, exactly as it would have: sampled as it was, up to its own
        limit, but for what a person has changed since (`Resumed` tells that); None where there is no such.
        Another window may still be writing it: then the turn fails.
        """
        was = await self._library.run(asked.cut_by_crash, thread_id)
        if was is None or self._turns.closed or self._turns.of(thread_id) is not None:
            return None

        async def commit() -> tuple[Thread, Node]:
            return await self._library.run(asked.cut_reply, thread_id)

        return self._turns.begin(thread_id, commit, self._sampling, Wish(goes_on=True, was=was))

    def aside(self, thread_id: str | None, text: str, params: Params = None) -> Turn:
        """Ask something beside a conversation: it is answered from the present memory, and nothing of it is
        kept or remembered.

        Raises:
            ThreadBusy, EmptyMessage, SessionClosed.
        """
        text = scrub(text)
        if not text.strip():
            raise EmptyMessage

        async def commit() -> tuple[Thread, Node]:
            thread, tip = await self._tip(thread_id) if thread_id else (NOBODY, None)
            return thread, Node("", tip, ChatMessage("user", text))

        return self._turns.begin(thread_id or "", commit, self.sampled(params), Wish(aside=True))

    async def answer_pending(self, thread_id: str) -> Turn | None:
        """Reply to a message that has none (a crash, a stop, a model that would not load); None if there is
        no such.
        """
        thread, node = await self._library.run(asked.pending, thread_id)
        if node is None or self._turns.closed or self._turns.of(thread_id) is not None:
            return None

        async def commit() -> tuple[Thread, Node]:
            return thread, node

        return self._turns.begin(thread_id, commit, self._sampling)

    # ------------------------------------------------------------------ for other use cases

    def sampled(self, params: Params) -> Sampled:
        """How to sample in a think mode, with a conversation's own differences."""

        def of(mode: str, own: Mapping[str, Any]) -> SamplingParams:
            if params is None:
                return self._sampling(mode, own)
            return params(self._sampling(mode, own)) if callable(params) else params

        return of

    def fresh(self, params: Params) -> Sampled:
        """The same with a new seed, unless `params` are given."""

        def of(mode: str, own: Mapping[str, Any]) -> SamplingParams:
            sampled = self.sampled(params)(mode, own)
            return sampled if params else replace(sampled, seed=secrets.randbelow(SEEDS))

        return of

    def _again(
        self,
        thread: str,
        find: Callable[[sqlite3.Connection, str, str | None], tuple[Thread, Node]],
        node: str | None,
        params: Sampled,
        wish: Wish = ANSWER,
    ) -> Turn:
        async def commit() -> tuple[Thread, Node]:
            return await self._library.run(find, thread, node)

        return self._turns.begin(thread, commit, params, wish)

    async def _tip(self, thread: str) -> tuple[Thread, str | None]:
        return await self._library.run(thread_and_tip, thread)


def _conversation(db: sqlite3.Connection, thread: str) -> Conversation:
    found = threads.get(db, thread)
    return Conversation(found, tuple(each.node for each in nodes.path(db, nodes.tip(db, thread))))


def _words(begin: str) -> str:
    """What a reply begins with; nothing where that is only space."""
    return scrub(begin) if begin.strip() else ""
