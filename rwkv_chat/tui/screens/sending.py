"""What leaves the prompt: messages, and the wish to have one answered again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.tui.choices import Choices
from rwkv_chat.tui.screens.completing import CompletingScreen
from rwkv_chat.tui.screens.telling import foreseen, telling
from rwkv_chat.tui.slash import parse

if TYPE_CHECKING:
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.prompt import PromptBox
    from rwkv_chat.tui.widgets.suggestions import Suggestions


class SendingScreen(CompletingScreen):
    """Base of the chat screen."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._early: list[str] = []  # what was sent before the conversations were there

    def on_text_area_changed(self) -> None:
        self.lint_soon()
        self.keep_draft()
        self.complete_soon()

    def on_text_area_selection_changed(self) -> None:
        if self.prompt.steering:
            self.complete_soon()

    def on_prompt_box_submitted(self, event: PromptBox.Submitted) -> None:
        """The box is empty by now; nothing may be written down between that and who has the message."""
        self.keep_draft()
        self.send(event.text)

    def on_prompt_box_asked(self) -> None:
        self.suggestions.focus()

    def on_suggestions_chosen(self, event: Suggestions.Chosen) -> None:
        self.send(event.text)

    def send(self, text: str) -> None:
        """Send a message. One that is sent while a reply is being written waits for its end; one that is sent
        before the conversations are there, for them.
        """
        if not self.begun:
            self._early.append(text)
            return
        row, text = parse(text)
        if row is not None:
            self.command(row, text)
            return
        if self.live is not None:
            self.queue(text)
            return
        if self.thread_id is None and self.pending != Choices():
            self.desk.drafts.leaving(None, text)
            self.call_later(self._send_first, text, self.pending)
            self.pending = Choices()
        else:
            self._send(text)

    @telling
    async def _send_first(self, text: str, chosen: Choices) -> None:
        """A new conversation with choices of its own: they must stand before its first message is fed."""
        try:
            thread = await self.chats.create(text)
            await self.configure(thread.id, chosen)
        except foreseen():
            self.pending = chosen
            self.back(text)
            raise
        self.thread_id = thread.id
        self.begun_as(thread.id)
        self._send(text)
        self.desk.drafts.gone_out(text)  # as the new conversation's: now it is this one's

    def send_waiting(self, live: LiveReply, *, well: bool) -> None:
        """A reply has ended: what waits for it is sent, or given back where it did not end `well`."""
        text = self.take_waiting(live.thread) if live.kind == "reply" else ""
        if not text:
            return
        if live.thread != self.thread_id:
            self._send_elsewhere(live.thread, text, well=well)
        elif well:
            self._send(text)
        else:
            self.back(text)

    def _send_elsewhere(self, thread: str, text: str, *, well: bool) -> None:
        from rwkv_chat.session.errors import SessionError

        if well:
            try:
                self.desk.turns.follow(self.chats.send(thread, text), text)
            except SessionError:
                pass  # it is a draft again
            else:
                self.desk.drafts.leaving(thread, text)
                return
        self.desk.drafts.give_back(thread, text)

    def _send(self, text: str) -> None:
        from rwkv_chat.session.errors import SessionError

        self.desk.drafts.leaving(self.thread_id, text)
        try:
            turn = self.chats.send(self.thread_id, text)
        except SessionError as error:
            from rwkv_chat.explain import sentence

            self.back(text)
            self.notify(sentence(error), severity="warning", markup=False)
            return
        self.thread_id = self.desk.turns.follow(turn, text).thread
        self.begun_as(self.thread_id)
        self.bar.hide()
        self.prompt.focus()
        self.show_empty(empty=False)

    @telling
    async def action_regenerate(self) -> None:
        """Answer the last message again; one that was never answered gets its first reply."""
        if self.thread is None or self.live is not None:
            return
        pending = await self.chats.answer_pending(self.thread.id)
        self.desk.turns.follow(pending or self.chats.regenerate(self.thread.id))

    def action_stop(self) -> None:
        """Stop the reply; with none running, go back to the prompt."""
        if self.live is None:
            self.prompt.focus()
            return
        self.live.stop()
        self.transcript.hint(self.meter.hint(self.live))
        self.show_status()

    def send_early(self) -> None:
        """The conversations are there: what was sent before goes now."""
        early, self._early = self._early, []
        for text in early:
            self.send(text)
