"""Working with the open conversation's tree: its messages, other replies, undo, memory that begins anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.asides import AsidesScreen
from rwkv_chat.tui.screens.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from rwkv_chat.session import Turn
    from rwkv_chat.session.branches import Branches
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.transcript import Node, Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.editing import Edited
    from rwkv_chat.tui.screens.messages import Act
    from rwkv_chat.tui.turns import LiveReply
    from rwkv_chat.tui.widgets.prompt import PromptBox

Kind = Literal["reply", "several", "aside"]
USUAL_ALTERNATIVES, USUAL_TURNS = 3, 4


class TreeScreen(AsidesScreen):
    """Base of the chat screen, which shows turns (`turn_event`).

    Attributes:
        absorbed: what the status line says of the memory.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.absorbed = ""
        self._given_back = ""  # a message that undo put into the prompt: nobody typed it there

    @property
    def branches(self) -> Branches:
        return self.desk.session.branches

    @property
    def prompt(self) -> PromptBox:
        raise NotImplementedError

    def gauge(self) -> None:
        """Say how much the model has taken in of the open conversation, as soon as that is known."""
        self.absorbed = ""
        if self.thread is not None and self.desk.model.ready:
            self.run_worker(self._gauge, group="gauge", exclusive=True, exit_on_error=False)

    @telling
    async def _gauge(self) -> None:
        thread = self.thread
        if thread is None:
            return
        found = await self.branches.absorbed(thread.id)
        if self.thread is not thread or not found.tokens:
            return
        if found.trained_context:
            share = say(
                "app.status.absorbed_of", tokens=f"{found.tokens:,}", trained=f"{found.trained_context:,}"
            )
        else:
            share = say("app.status.absorbed", tokens=f"{found.tokens:,}")
        self.absorbed = share + (say("app.status.partial") if found.partial else "")
        self.show_status()

    def idle(self) -> Thread | None:
        """The open conversation, unless a reply is being written in it."""
        if self.live is not None:
            self.notify(say("app.busy"), markup=False)
            return None
        return self.thread

    async def shown_again(self) -> None:
        """The open conversation as it is now, and the list."""
        if self.thread is not None:
            await self.refresh_list()
            await self.open_thread(self.thread)

    # ---------------------------------------------------------------- undo

    @telling
    async def action_undo(self) -> None:
        """In the prompt, a change of its text; with nothing typed in it, the last step of the chat."""
        box = self.prompt
        if box.history.undo_stack or (box.text and box.text != self._given_back):
            box.undo()
        elif (thread := self.idle()) is not None:
            undone = await self.branches.undo(thread.id)
            await self.shown_again()
            self.prompt.text = self._given_back = clean(undone.text)
            self.prompt.move_cursor(self.prompt.document.end)
            self.notify(say("app.tree.undone"), markup=False)

    @telling
    async def action_redo(self) -> None:
        if self.prompt.text and self.prompt.history.redo_stack:
            self.prompt.redo()
        elif (thread := self.idle()) is not None:
            self.prompt.text = ""
            await self.branches.redo(thread.id)
            await self.shown_again()
            self.notify(say("app.tree.redone"), markup=False)

    # ---------------------------------------------------------------- messages

    @telling
    async def action_messages(self) -> None:
        await self._messages("")

    async def _messages(self, chosen: str) -> None:
        from rwkv_chat.tui.screens.messages import MessagesScreen

        if self.idle() is None or not self.nodes:
            return
        places = {each.id: await self._place(each) for each in self.nodes}
        screen = MessagesScreen(self.nodes, places, self.reveal, chosen)
        self.app.push_screen(screen, self._act)

    async def _place(self, node: Node) -> tuple[int, int]:
        """Which of how many alternatives a message is."""
        ids = [each.id for each in await self.branches.siblings(node.id)]
        return (ids.index(node.id) + 1 if node.id in ids else 1), max(1, len(ids))

    @telling
    async def _act(self, act: Act | None) -> None:
        thread = self.idle() if act is not None else None
        if act is None or thread is None:
            self.prompt.focus()
            return
        node = act.node
        match act.what:
            case "edit":
                self._edit(thread, node)
            case "branch":
                await self.refresh_list()
                await self.open_thread(await self.branches.branch(thread.id, node.id))
                self.notify(say("app.tree.branched"), markup=False)
            case "go":
                await self.branches.go(thread.id, node.id)
                await self.shown_again()
            case "previous" | "next":
                await self._switch(thread, node, 1 if act.what == "next" else -1)
            case "delete":
                gone = await self.branches.delete_branch(thread.id, node.id)
                await self.shown_again()
                self.notify(say("app.tree.deleted", number=gone.messages), markup=False)
            case "bookmark":
                await self.branches.bookmark(node.id, None if node.bookmark is not None else "")
                await self._changed(node)
            case "pin":
                await self.branches.pin(node.id, not node.pinned)
                await self._changed(node)
            case "copy":
                self.app.copy_to_clipboard(node.message.text)
                self.notify(say("app.copy.message"), markup=False)
            case "persona":
                self._save_persona(thread, node)
            case _:
                self._answer(act, thread)

    async def _changed(self, node: Node) -> None:
        """A mark was put on a message: the list of messages is shown again, with it."""
        await self.shown_again()
        await self._messages(node.id)

    async def _switch(self, thread: Thread, node: Node, step: int) -> None:
        ids = [each.id for each in await self.branches.siblings(node.id)]
        if len(ids) < 2 or node.id not in ids:
            self.notify(say("app.tree.no_sibling"), markup=False)
            await self._messages(node.id)
            return
        other = ids[(ids.index(node.id) + step) % len(ids)]
        await self.branches.switch(thread.id, other)
        await self.shown_again()
        await self._messages(other)

    # ---------------------------------------------------------------- replies

    def _answer(self, act: Act, thread: Thread) -> None:
        """Another reply to a message (or in place of a reply)."""
        chats, node = self.chats, act.node.id
        match act.what:
            case "regenerate":
                self.follow(lambda: chats.regenerate(thread.id, node=node))
            case "continue":
                self.follow(lambda: chats.continue_reply(thread.id))
            case "begin":
                from rwkv_chat.tui.screens.dialogs import Ask

                self.app.push_screen(Ask(say("app.tree.begin")), partial(self._begun, thread, node))
            case "alternatives":
                self.alternatives(USUAL_ALTERNATIVES, node)

    def _begun(self, thread: Thread, node: str, words: str | None) -> None:
        if words:
            self.follow(lambda: self.chats.regenerate(thread.id, node=node, begin=words))

    def follow(self, make: Callable[[], Turn], question: str = "", kind: Kind = "reply") -> LiveReply | None:
        """Begin a turn; None, and a sentence, where that cannot be now."""
        from rwkv_chat.explain import sentence
        from rwkv_chat.session.errors import SessionError

        try:
            return self.desk.turns.follow(make(), question, kind)
        except SessionError as error:
            self.notify(sentence(error), severity="warning", markup=False)
            return None

    def alternatives(self, number: int, node: str | None = None) -> None:
        """Several replies to the last message (or to another) at once; one of them is chosen."""
        from rwkv_chat.tui.screens.replies import RepliesScreen

        if (thread := self.idle()) is None or not self.nodes:
            return
        asked = self._question(node)
        live = self.follow(
            lambda: self.chats.alternatives(thread.id, number, node=node), asked, kind="several"
        )
        if live is not None:
            self.app.push_screen(RepliesScreen(live, asked, number), partial(self._chosen, live))

    def _question(self, node: str | None) -> str:
        """The message that is answered, for the head of what is shown."""
        nodes = self.nodes
        if node is not None and any(each.id == node for each in nodes):
            nodes = nodes[: [each.id for each in nodes].index(node) + 1]
        return next((each.message.text for each in reversed(nodes) if each.message.role == "user"), "")

    @telling
    async def _chosen(self, live: LiveReply, number: int | None) -> None:
        """One of the replies becomes the branch; all of them are kept."""
        await self.desk.turns.stop(live.thread)
        answered = live.answered
        if answered is not None and number is not None and number < len(answered.alternatives):
            await self.branches.switch(live.thread, answered.alternatives[number].id)
        await self.shown_again()
        self.prompt.focus()

    def aside(self, text: str) -> None:
        """Asked from the present memory, and forgotten."""
        from rwkv_chat.tui.screens.replies import RepliesScreen

        if self.live is not None:
            self.notify(say("app.busy"), markup=False)
            return
        live = self.follow(lambda: self.chats.aside(self.thread_id, text), text, kind="aside")
        if live is not None:
            self.app.push_screen(RepliesScreen(live, text), lambda _: self.focus_prompt())

    def focus_prompt(self) -> None:
        self.prompt.focus()

    # ---------------------------------------------------------------- editing

    def _edit(self, thread: Thread, node: Node) -> None:
        from rwkv_chat.tui.screens.editing import EditDialog

        follows = bool(self.nodes) and self.nodes[-1].id != node.id
        dialog = EditDialog(clean(node.message.text), follows=follows)
        self.app.push_screen(dialog, partial(self._edited, thread, node))

    @telling
    async def _edited(self, thread: Thread, node: Node, edited: Edited | None) -> None:
        from rwkv_chat.session.turn import Turn

        if edited is None:
            return
        work = self.branches.edit(thread.id, node.id, edited.text, keep_following=edited.keep_following)
        begun = await work
        if isinstance(begun, Turn):
            self.follow(lambda: begun)
        else:
            self.read(thread.id, begun)

    def _save_persona(self, thread: Thread, node: Node) -> None:
        from rwkv_chat.tui.screens.dialogs import Ask

        question = say("app.states.save", title=title(thread.title) or say("app.untitled"))
        self.app.push_screen(Ask(question, title(thread.title)), partial(self._persona, thread.id, node.id))

    @telling
    async def _persona(self, thread: str, node: str, name: str | None) -> None:
        if not name:
            return
        async for event in self.desk.session.states.save(thread, name, node=node):
            if hasattr(event, "name"):
                self.notify(say("app.states.done.saved_chat", name=title(name)), markup=False)

    # ---------------------------------------------------------------- memory

    @telling
    async def refresh_memory(self, turns: int = USUAL_TURNS) -> None:
        """Memory begins anew with what the conversation began with, what is pinned, and the last turns."""
        if (thread := self.idle()) is not None:
            self.read(thread.id, self.branches.refresh(thread.id, turns))

    @telling
    async def remember_last(self, tokens: int) -> None:
        """Memory begins with the last messages."""
        if (thread := self.idle()) is not None:
            self.read(thread.id, await self.branches.remember_last(thread.id, tokens))

    def read(self, thread: str, reading: Reading) -> None:
        """Follow a reading of the open conversation, then show it as it is."""
        self.run_worker(
            partial(self._read_through, thread, reading), group=f"read {thread}", exit_on_error=False
        )

    async def _read_through(self, thread: str, reading: Reading) -> None:
        await self.follow_reading(thread, reading)
        if self.thread_id == thread:
            await self.shown_again()
