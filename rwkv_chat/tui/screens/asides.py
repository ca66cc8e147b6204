"""What stands around a conversation: how it thinks, what exactly is fed, what may be
misread, and going on with another model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat.phrases import listed
from rwkv_chat.texts import say
from rwkv_chat.tui.choices import Choices
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.threads import ThreadScreen
from rwkv_chat.tui.time_left import TimeLeft
from rwkv_chat.tui.widgets.lint_line import LintLine
from rwkv_chat.tui.widgets.prompt import PromptBox
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from textual.timer import Timer

    from engine.types import NotSaved, Prefilled
    from rwkv_chat.session import TurnEvent
    from rwkv_chat.session.manner import Manner
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.continue_bar import ContinueBar

LINT_SECONDS = 0.4  # after the last key
UNREAD_TOKENS = 256  # so many are read with the next message: nobody notices
LAST_TOKENS = 2_000


class AsidesScreen(ThreadScreen):
    """Base of the chat screen, which draws the status line (`show_status`).

    Attributes:
        begun: the conversations are there, and every widget (they come after the first frame).
        pending: choices for a new conversation, kept until its first message makes it.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.begun = False
        self.pending = Choices()
        self._readings: dict[str, Reading] = {}
        self._unasked: set[Reading] = set()  # those that began by themselves
        self._lint_due: Timer | None = None
        self._refused: set[str] = set()  # why states were not saved, as far as it was told
        self.changing: dict[str, str] = {}  # by conversation, the message that is being changed

    def show_status(self) -> None:
        """Draw the status line."""
        raise NotImplementedError

    @property
    def bar(self) -> ContinueBar:
        from rwkv_chat.tui.widgets.continue_bar import ContinueBar

        return self.query_one(ContinueBar)

    # ---------------------------------------------------------------- what a reply tells beside its text

    def tell_failed(self, live: LiveReply, event: TurnEvent) -> None:
        """Of what is answered beside the conversation, and shown above it: only a failure is told here."""
        from rwkv_chat.explain import sentence
        from rwkv_chat.session.events import TurnFailed

        if isinstance(event, TurnFailed):
            self.query_one(PromptBox).give_back(live.typed)
            self.notify(sentence(event.error), severity="error", markup=False)

    def change_kept(self, thread: str) -> None:
        """The change of a message is on the disk: it need not be kept as a draft any more."""
        from rwkv_chat.session.drafts import Draft

        if node := self.changing.pop(thread, ""):
            self.desk.drafts.put(thread, Draft(), node)

    def tell_not_saved(self, event: NotSaved) -> None:
        """A state that could not be saved; once for each reason, since every further reply has the same."""
        from rwkv_chat.explain import not_saved_sentence

        if (kind := type(event.error).__name__) not in self._refused:
            self._refused.add(kind)
            self.notify(not_saved_sentence(event), severity="warning", timeout=15, markup=False)

    # ---------------------------------------------------------------- how it is spoken

    @property
    def choices(self) -> Choices:
        """Of the open conversation, or of the new one."""
        thread = self.thread
        if thread is None:
            return self.pending
        return Choices(thread.chosen_template, thread.mode, thread.keep_reasoning, thread.sampling)

    def manner(self) -> Manner | None:
        """What the choices come to with the model that is ready; None until one is."""
        speaker = self.desk.session.models.speaker
        if speaker is None:
            return None
        from rwkv_chat.tui.manners import chosen_manner

        return chosen_manner(self.choices, speaker, self.desk.session.settings.think)

    def manner_words(self) -> str:
        """What the status line says of it: only what was chosen."""
        chosen = self.choices
        if chosen == Choices():
            return ""
        from rwkv_chat.tui.screens.manner import mode_name

        parts = [say("app.manner.short", mode=mode_name(chosen.mode))] if chosen.mode else []
        return listed([*parts, chosen.template])

    @telling
    async def action_choose_manner(self) -> None:
        from rwkv_chat.tui import manners
        from rwkv_chat.tui.screens.manner import MannerDialog

        ways = await asyncio.to_thread(manners.ways, self.desk.session.models.current.template)
        speaker = self.desk.session.models.speaker
        if speaker is not None:
            think = self.desk.session.settings.think
            usual = await asyncio.to_thread(manners.usual_mode, speaker, think, Choices())
            ways = replace(ways, usual=usual)
        voices, before = await self._voices()
        dialog = MannerDialog(replace(ways, voices=voices), before)
        self.app.push_screen(dialog, partial(self._manner_chosen, before))

    async def _voices(self) -> tuple[dict[str, str], Choices]:
        """What the open conversation may speak with, and the choices with what it does; nothing where there
        is none, or where it began from a state that is no voice.
        """
        thread = self.thread
        found = await self.desk.session.tunes.voices() if thread is not None else ()
        if thread is None or not found:
            return {}, self.choices
        now = [each.id for each in found if (each.adapter, each.initial) == (thread.adapter, thread.initial)]
        if not now and (thread.adapter or thread.initial):
            return {}, self.choices
        return {each.id: each.name for each in found}, replace(self.choices, voice="".join(now[:1]))

    @telling
    async def _manner_chosen(self, before: Choices, chosen: Choices | None) -> None:
        if chosen is None or chosen == before:
            return
        if self.thread is None:
            self.pending = chosen
        else:
            self.thread = await self.configure(self.thread.id, chosen)
            if chosen.voice != before.voice:
                self.thread = await self.desk.session.tunes.speak_with(self.thread.id, chosen.voice)
        self.show_status()
        self.show_asides()

    async def configure(self, thread_id: str, chosen: Choices) -> Thread:
        """Write a conversation's choices down. Raises: LibraryError, TemplateInvalid."""
        return await self.chats.configure(
            thread_id,
            template=chosen.template,
            mode=chosen.mode,
            keep_reasoning=chosen.keep_reasoning,
            sampling=chosen.own,
        )

    # ---------------------------------------------------------------- the exact prompt

    @telling
    async def action_exact_prompt(self) -> None:
        """Show the tokens of the open conversation and of the message that is being written."""
        if self.desk.session.models.speaker is None:
            self.notify(say("app.exact.waiting"), markup=False)
            return
        from rwkv_chat.tui.manners import as_thread
        from rwkv_chat.tui.screens.exact import ExactScreen
        from rwkv_chat.tui.wishes import wished

        (wish, text), chosen = wished(self.query_one(PromptBox).message), as_thread(self.pending)
        prompt = await self.chats.exact_prompt(self.thread_id, text, wish=wish, chosen=chosen)
        await self.app.push_screen(ExactScreen(prompt))

    # ---------------------------------------------------------------- warnings

    def lint_soon(self) -> None:
        """Look at the message once the person has paused."""
        if self._lint_due is not None:
            self._lint_due.stop()
        self._lint_due = self.set_timer(LINT_SECONDS, self.show_lint)

    def show_lint(self) -> None:
        """One line under the prompt on what the model may misread; it stops nothing."""
        if not self.begun:
            return
        from rwkv_chat.tui.manners import warnings

        self.query_one(LintLine).show(warnings(self.manner(), self.query_one(PromptBox).written))

    # ---------------------------------------------------------------- another model

    def show_asides(self) -> None:
        """After another conversation was opened, or the model changed."""
        self.show_lint()
        for other, reading in self._readings.items():
            if other != self.thread_id and reading in self._unasked:
                reading.stop()  # nobody asked for it, and nobody waits for it any more
        reading = self._readings.get(self.thread_id or "")
        if reading is None:
            self.bar.hide()
            start_work(self, self._offer_reading, group="to read", exclusive=True)

    async def _offer_reading(self) -> None:
        """Say what the model in use would have to read, where another one wrote the conversation. One that no
        model here has read (imported), or whose states were given up, is read at once.
        """
        thread, speaker = self.thread, self.desk.session.models.speaker
        if thread is None or speaker is None or self.live is not None:
            return
        there = await self.chats.to_read(thread.id)
        if self.thread is not thread or self.thread_id != thread.id or self.live is not None:
            return  # another one is open, or is being opened
        if not there.tokens:
            return
        long = there.tokens > 2 * LAST_TOKENS
        if not thread.model or thread.model == speaker.model:
            if there.tokens > UNREAD_TOKENS and thread.id not in self._readings:
                self.begin_reading(asked=False)
                self.bar.long(long)
            return
        from rwkv_chat.amounts import duration

        tokens = f"{there.tokens:,}"
        if there.seconds is None:
            self.bar.offer(say("app.continue.offer", tokens=tokens), long=long)
        else:
            time = duration(there.seconds)
            self.bar.offer(say("app.continue.offer_time", tokens=tokens, time=time), long=long)

    @telling
    async def on_continue_bar_last_wanted(self) -> None:
        """Memory begins with the end of the conversation."""
        thread = self.thread_id
        if thread is None:
            return
        if (reading := self._readings.get(thread)) is not None:
            reading.stop()
            await reading.result()
        self.call_later(self.remember_last, LAST_TOKENS)

    def remember_last(self, tokens: int) -> Awaitable[bool | None]:
        """Have memory begin with the last messages."""
        raise NotImplementedError

    def on_continue_bar_pressed(self) -> None:
        reading = self._readings.get(self.thread_id or "")
        if reading is not None:
            reading.stop()
        else:
            self.begin_reading()

    async def _begin(self, thread: str, *, asked: bool) -> None:
        if not asked and (self.thread_id != thread or self.live is not None):
            return  # it was left, or is spoken in, since this was wanted
        reading = self.chats.read(thread)
        if not asked:
            self._unasked.add(reading)
        await self.follow_reading(thread, reading)

    @telling
    async def follow_reading(self, thread: str, reading: Reading) -> None:
        """Show how far a reading is, until it ends."""
        from engine.types import Prefilled
        from rwkv_chat.session.events import Committed, HasRead, TurnFailed

        whole, left = False, TimeLeft()
        self._readings[thread] = reading
        self.bar.progress(say("app.continue.begun"))
        try:
            async for event in reading:
                if isinstance(event, Prefilled) and self.thread_id == thread:
                    self.bar.progress(_progress(event, left))
                elif isinstance(event, TurnFailed):
                    raise event.error
                elif isinstance(event, Committed):
                    self.change_kept(thread)
                elif isinstance(event, HasRead) and event.usage is not None:
                    whole = True
        finally:
            if self._readings.get(thread) is reading:  # another one may have taken its place
                del self._readings[thread]
            self._unasked.discard(reading)
            if self.thread_id == thread:
                self._reading_ended(whole=whole)

    def _reading_ended(self, *, whole: bool) -> None:
        """All was read; or some of it, and the rest is offered."""
        if whole:
            self.bar.hide()
        else:
            self.show_asides()

    def begin_reading(self, *, asked: bool = True) -> None:
        """Read the open conversation with the model in use, in the background. What a person did not ask for
        ends when the conversation is left.
        """
        thread = self.thread_id
        if thread is not None and thread not in self._readings:
            start_work(self, partial(self._begin, thread, asked=asked), group=f"read {thread}")

    def on_prompt_box_blank(self) -> None:
        """Enter in the empty box: yes to what the bar offers."""
        if self.bar.offering:
            self.begin_reading()


def _progress(event: Prefilled, left: TimeLeft) -> str:
    from rwkv_chat.amounts import duration

    numbers = {"done": f"{event.done:,}", "total": f"{event.total:,}"}
    seconds = left.take(event.done, event.total)
    if seconds is None:
        return say("app.continue.progress", **numbers)
    return say("app.continue.progress_time", **numbers, time=duration(seconds))
