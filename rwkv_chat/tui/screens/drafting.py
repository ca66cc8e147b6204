"""What stands in the prompt of each conversation: drafts, a message that waits, what was sent before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.screens.showing import ShowingScreen
from rwkv_chat.tui.screens.telling import telling

if TYPE_CHECKING:
    from rwkv_chat.session.drafts import Draft
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.widgets.waiting_line import WaitingLine


class DraftingScreen(ShowingScreen):
    """Base of the chat screen.

    Attributes:
        drafted: the conversation whose draft stands in the prompt; None for the new one.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.drafted: str | None = None

    @property
    def waiting_line(self) -> WaitingLine:
        from rwkv_chat.tui.widgets.waiting_line import WaitingLine

        return self.query_one(WaitingLine)

    # ---------------------------------------------------------------- drafts

    @telling
    async def begin_drafting(self) -> None:
        """The conversations are there: what was typed by now stays, after what an earlier run left."""
        from rwkv_chat.tui.drafts import joined

        drafts, typed = self.desk.drafts, self._shown_draft()
        self.drafted, before = self.thread_id, drafts.of(self.thread_id)
        drafts.put(self.drafted, replace(joined(before, typed), queued=before.queued))
        self._take_draft()
        drafts.look, drafts.came = self.keep_draft, self._draft_came
        self.desk.thrown_away = self.forget_sent
        await self._look_up_sent()

    def show_draft(self) -> None:
        """The draft of the open conversation takes the place of the last one's, which is kept."""
        if self.begun and self.drafted != self.thread_id:
            self.keep_draft()
            self.drafted = self.thread_id
            self._take_draft()
            self.desk.drafts.look_around()
            self.call_later(self._look_up_sent)

    def _draft_came(self, thread_id: str | None) -> None:
        """Another window was closed, and left something that is typed for a conversation."""
        if self.begun and thread_id == self.drafted:
            self._take_draft()

    def _take_draft(self) -> None:
        draft = self.desk.drafts.of(self.drafted)
        self.prompt.load(draft.text, draft.folded)
        self.show_waiting()
        if any(self.desk.drafts.of(self.drafted, each.id).text for each in self.nodes):
            self.notify(say("app.edit.kept"), markup=False)

    def keep_draft(self) -> None:
        """What stands in the prompt now."""
        if self.begun:
            drafts = self.desk.drafts
            drafts.put(self.drafted, replace(self._shown_draft(), queued=drafts.of(self.drafted).queued))

    def _shown_draft(self) -> Draft:
        from rwkv_chat.session.drafts import Draft

        box = self.prompt
        return Draft(box.text, box.folds.used(box.text))

    @telling
    async def _look_up_sent(self) -> None:
        """What can be called back; another window may have erased some of it."""
        recall = self.prompt.recall  # the screen may be gone when that is read
        recall.fill(await self.desk.session.drafts.sent())

    @telling
    async def forget_sent(self) -> None:
        """Conversations were thrown away, or came back."""
        recall = self.prompt.recall
        recall.only(await self.desk.session.drafts.sent())

    def begun_as(self, thread_id: str) -> None:
        """The new conversation has an id now: what is typed belongs to it."""
        if self.drafted is None:
            from rwkv_chat.session.drafts import Draft

            self.desk.drafts.put(None, Draft())  # what is on its way stays, until it is on the disk
            self.drafted = thread_id
            self.keep_draft()

    # ---------------------------------------------------------------- a message that waits

    def queue(self, text: str) -> None:
        """A reply is being written: the message is sent when it has ended."""
        if self.thread_id is None:
            return
        before = self.desk.drafts.of(self.thread_id).queued
        self.desk.drafts.queue(self.thread_id, "\n".join(filter(None, (before, text))))
        self.show_waiting()

    def show_waiting(self) -> None:
        if self.begun:
            text = self.desk.drafts.of(self.thread_id).queued
            self.waiting_line.show(text)
            self.prompt.waiting = bool(text)

    def take_waiting(self, thread_id: str) -> str:
        """The message that waits in a conversation; it waits no more."""
        text = self.desk.drafts.of(thread_id).queued
        self.desk.drafts.queue(thread_id, "")
        if thread_id == self.thread_id:
            self.show_waiting()
        return text

    def on_prompt_box_back_wanted(self) -> None:
        if self.thread_id is not None:
            self.back(self.take_waiting(self.thread_id))

    def back(self, text: str) -> None:
        """A message that was to be sent stands in the prompt again."""
        self.prompt.give_back(text)
        self.keep_draft()
        self.desk.drafts.gone_out(text)
