"""A screen that holds conversations: the list, the open one, and everything done to them as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.chat_list import ChatList, ChatRow

if TYPE_CHECKING:
    from rwkv_chat.session import Chats
    from rwkv_chat.transcript import Conversation, Node, Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.turns import LiveReply


class ThreadScreen(Screen[None]):
    """Base of the chat screen, which says how a conversation is shown (`show_conversation`).

    Attributes:
        thread_id: the open conversation's id; it is known before a new one is on the disk.
        shown_id: the id once its messages are drawn; None while they are being read.
        thread, nodes: the open conversation as it was last read.
        threads: all of them, newest first.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.thread_id: str | None = None
        self.shown_id: str | None = None
        self.thread: Thread | None = None
        self.threads: tuple[Thread, ...] = ()
        self.nodes: tuple[Node, ...] = ()
        self._deleted: Thread | None = None

    @property
    def chats(self) -> Chats:
        return self.desk.session.chats

    @property
    def live(self) -> LiveReply | None:
        """The reply being written in the open conversation."""
        return self.desk.turns.of(self.thread_id)

    def show_conversation(self) -> None:
        """Draw `nodes` and the live reply, if any."""
        raise NotImplementedError

    @telling
    async def refresh_list(self) -> None:
        every = await self.chats.threads()
        self.threads = tuple(each for each in every if each.kind != "reading" and each.archived is None)
        self.show_list()

    def on_screen_resume(self) -> None:
        if self.thread is not None:
            self.call_later(self.look_again)

    @telling
    async def look_again(self) -> None:
        """Elsewhere, conversations were deleted, archived, renamed; what is gone is shown no longer."""
        every = await self.chats.threads()
        await self.refresh_list()
        gone = self.thread is not None and all(each.id != self.thread_id for each in every)
        if gone and self.live is None:
            await self.open_thread(self.threads[0] if self.threads else None)

    def show_list(self) -> None:
        busy = self.desk.turns.busy
        rows = tuple(ChatRow(each.id, name_of(each), each.id in busy) for each in self.threads)
        self.set_class(not rows, "-no-chats")
        self.query_one(ChatList).show(rows, self.thread_id)

    @telling
    async def open_thread(self, thread: Thread | None) -> None:
        """Show a conversation, or an empty new one."""
        self.thread_id = thread.id if thread is not None else None
        self.shown_id, self.nodes = None, ()
        if thread is not None:
            conversation = await self._read(thread.id)
            if self.thread_id != thread.id or conversation is None:
                return  # another one was opened meanwhile
            thread, self.nodes = conversation.thread, conversation.nodes
        self.thread, self.shown_id = thread, self.thread_id
        self.desk.open_thread = thread
        self.app.title = name_of(thread) if thread is not None else say("app.title")
        self.show_conversation()
        self.show_list()
        if thread is not None and thread.kind == "text":
            self.call_later(self.write_text, thread)

    @telling
    async def go(self, thread_id: str, node_id: str) -> None:
        """Open a conversation, at one of its messages; its tip moves where that is in another branch."""
        conversation = await self.chats.open(thread_id)
        thread = conversation.thread
        if node_id and all(each.id != node_id for each in conversation.nodes):
            thread = await self.desk.session.branches.switch(thread_id, node_id)
        await self.refresh_list()
        await self.open_thread(thread)
        if node_id:
            self.reveal(node_id)

    def write_text(self, thread: Thread) -> None:
        """Open a conversation that is a text, to be written on."""
        from rwkv_chat.tui.screens.writing import WritingScreen

        if self.is_current and self.live is None:
            self.app.push_screen(WritingScreen(self.desk, thread), self._text_left)

    def _text_left(self, _: None) -> None:
        """Whoever leaves a text goes to a new chat: the text would open again."""
        self.call_later(self.open_thread, None)
        self.call_later(self.refresh_list)

    def reveal(self, node_id: str) -> None:
        """Bring a message of the open conversation into view."""
        raise NotImplementedError

    async def _read(self, thread_id: str) -> Conversation | None:
        """A conversation, read again if a reply began or ended while it was read."""
        while self.thread_id == thread_id:
            live = self.live
            conversation = await self.chats.open(thread_id)
            if self.live is live:
                return conversation
        return None

    def on_chat_list_picked(self, event: ChatList.Picked) -> None:
        self.remove_class("-list-over")
        thread = next((each for each in self.threads if each.id == event.thread_id), None)
        self.call_later(self.open_thread, thread)

    async def action_new_chat(self) -> None:
        await self.open_thread(None)

    async def action_next_chat(self) -> None:
        await self._step(1)

    async def action_previous_chat(self) -> None:
        await self._step(-1)

    async def _step(self, step: int) -> None:
        ids = [each.id for each in self.threads]
        if not ids:
            return
        at = ids.index(self.thread_id) + step if self.thread_id in ids else 0
        await self.open_thread(self.threads[at % len(ids)])

    def action_rename_chat(self) -> None:
        if self.thread is not None:
            from rwkv_chat.tui.screens.dialogs import Ask

            self.app.push_screen(Ask(say("app.rename.title"), self.thread.title), self._rename)

    @telling
    async def _rename(self, name: str | None) -> None:
        if name and self.thread is not None:
            self.thread = await self.chats.rename(self.thread.id, title(name))
            self.app.title = name_of(self.thread)
            await self.refresh_list()

    def action_delete_chat(self) -> None:
        if self.thread is not None:
            from rwkv_chat.tui.screens.dialogs import Confirm

            question = "app.delete.question_one" if len(self.nodes) == 1 else "app.delete.question"
            text = say(question, name=quoted(self.thread), count=len(self.nodes))
            self.app.push_screen(Confirm(text, say("app.delete.yes")), self._delete)

    @telling
    async def _delete(self, sure: bool | None) -> None:
        thread = self.thread
        if not sure or thread is None:
            return
        await self.desk.turns.stop(thread.id)
        self._deleted = await self.chats.delete(thread.id)
        await self.desk.thrown_away()
        await self.refresh_list()
        await self.open_thread(self.threads[0] if self.threads else None)
        self.notify(say("app.delete.done", name=quoted(thread)), markup=False)

    @telling
    async def action_undo_delete(self) -> None:
        """Bring back what was deleted last, in this run or an earlier one."""
        last = self._deleted or next(iter(await self.chats.deleted()), None)
        if last is None:
            self.notify(say("app.delete.nothing"), markup=False)
            return
        thread, self._deleted = await self.chats.restore(last.id), None
        await self.desk.thrown_away()
        self.app.clear_notifications()  # one of them still says how to bring it back
        await self.refresh_list()
        await self.open_thread(thread)


def name_of(thread: Thread) -> str:
    return title(thread.title) or say("app.untitled")


def quoted(thread: Thread) -> str:
    """Its name, as it stands in a sentence."""
    return say("app.quoted", title=name_of(thread))
