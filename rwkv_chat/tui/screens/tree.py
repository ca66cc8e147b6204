"""Working with the open conversation's tree: its messages, undo, memory that begins anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.answers import AnswersScreen
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.threads import quoted
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from rwkv_chat.session.turn import Reading
    from rwkv_chat.transcript import Node, Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.editing import Edited
    from rwkv_chat.tui.screens.messages import Act

USUAL_TURNS = 4
CELLS = 5  # of the gauge


class TreeScreen(AnswersScreen):
    """Base of the chat screen, which shows turns (`turn_event`).

    Attributes:
        absorbed: what the status line says of the memory.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.absorbed = ""
        self._told_long: set[str] = set()  # conversations of which it was said that they are long
        self._given_back = ""  # a message that undo put into the prompt: nobody typed it there

    def copy_block(self, text: str) -> None:
        """Have a part of a message chosen, and copied."""
        raise NotImplementedError

    def links(self, text: str) -> None:
        """Have a link of a message chosen, and opened."""
        raise NotImplementedError

    def gauge(self) -> None:
        """Say how much the model has taken in of the open conversation, as soon as that is known."""
        self.absorbed = ""
        if self.thread is not None and self.desk.model.ready:
            start_work(self, self._gauge, group="gauge", exclusive=True)

    @telling
    async def _gauge(self) -> None:
        thread = self.thread
        if thread is None:
            return
        found = await self.branches.absorbed(thread.id)
        if self.thread is not thread or not found.tokens:
            return
        if found.trained_context:
            trained = f"{found.trained_context:,}"
            bar = _bar(found.tokens / found.trained_context)
            share = say("app.status.absorbed_of", bar=bar, tokens=f"{found.tokens:,}", trained=trained)
            if found.tokens > found.trained_context and thread.id not in self._told_long:
                self._told_long.add(thread.id)
                self.notify(say("app.status.long", trained=trained), timeout=15, markup=False)
        else:
            share = say("app.status.absorbed", tokens=f"{found.tokens:,}")
        self.absorbed = share + (say("app.status.partial") if found.partial else "")
        self.show_status()

    # ---------------------------------------------------------------- undo

    @telling
    async def action_undo(self) -> bool:
        """In the prompt, a change of its text; with nothing typed in it, the last step of the chat."""
        box = self.prompt
        if box.history.undo_stack or (box.text and box.text != self._given_back):
            box.undo()
            return True
        if (thread := self.idle()) is None:
            return False
        undone = await self.branches.undo(thread.id)
        await self.shown_again()
        self.prompt.text = self._given_back = clean(undone.text)
        self.prompt.move_cursor(self.prompt.document.end)
        self.notify(say("app.tree.undone"), markup=False)
        return True

    @telling
    async def action_redo(self) -> bool:
        if self.prompt.text and self.prompt.history.redo_stack:
            self.prompt.redo()
            return True
        if (thread := self.idle()) is None:
            return False
        self.prompt.text = ""
        await self.branches.redo(thread.id)
        await self.shown_again()
        self.notify(say("app.tree.redone"), markup=False)
        return True

    # ---------------------------------------------------------------- messages

    @telling
    async def action_messages(self) -> bool:
        return await self._messages("")

    async def _messages(self, chosen: str) -> bool:
        from rwkv_chat.tui.screens.messages import MessagesScreen

        if self.idle() is None or not self.nodes:
            return False
        places = {each.id: await self._place(each) for each in self.nodes}
        screen = MessagesScreen(self.nodes, places, self.reveal, chosen)
        self.app.push_screen(screen, self._act)
        return True

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
                await self.desk.thrown_away()
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
            case "block":
                self.copy_block(clean(node.message.text))
            case "links":
                self.links(node.message.text)
            case "persona":
                self._save_persona(thread, node)
            case "capsule":
                self._pack(thread, node)
            case "tokens":
                await self.show_tokens(node)
            case _:
                self.answer(act, thread)

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

    async def show_tokens(self, node: Node | None) -> None:
        """How likely each token of a message was."""
        raise NotImplementedError

    # ---------------------------------------------------------------- editing

    def _edit(self, thread: Thread, node: Node) -> None:
        from rwkv_chat.tui.screens.editing import EditDialog

        follows = bool(self.nodes) and self.nodes[-1].id != node.id
        draft, changed = self.desk.drafts.of(thread.id, node.id), partial(self._keep_edit, thread, node)
        dialog = EditDialog(clean(node.message.text), follows=follows, draft=draft.text, changed=changed)
        self.app.push_screen(dialog, partial(self._edited, thread, node))

    def _keep_edit(self, thread: Thread, node: Node, text: str) -> None:
        from rwkv_chat.session.drafts import Draft

        self.desk.drafts.put(thread.id, Draft(text), node.id)

    @telling
    async def _edited(self, thread: Thread, node: Node, edited: Edited | None) -> None:
        from rwkv_chat.session.turn import Turn

        if edited is None:
            self._keep_edit(thread, node, "")
            return
        work = self.branches.edit(thread.id, node.id, edited.text, keep_following=edited.keep_following)
        self.changing[thread.id] = node.id
        begun = await work
        if isinstance(begun, Turn):
            self.follow(lambda: begun)
        else:
            self.read(thread.id, begun)

    def _save_persona(self, thread: Thread, node: Node) -> None:
        from rwkv_chat.tui.screens.dialogs import Ask

        question = say("app.states.save", name=quoted(thread))
        self.app.push_screen(Ask(question, title(thread.title)), partial(self._persona, thread.id, node.id))

    @telling
    async def _persona(self, thread: str, node: str, name: str | None) -> None:
        if not name:
            return
        async for event in self.desk.session.states.save(thread, name, node=node):
            if hasattr(event, "name"):
                self.notify(say("app.states.done.saved_chat", name=title(name)), markup=False)

    def _pack(self, thread: Thread, node: Node) -> None:
        """The branch up to a message, with its memory, becomes a file."""
        from rwkv_chat.tui.screens.capsule_work import CapsuleWork

        def tell(text: str) -> None:
            self.notify(text, timeout=10, markup=False)

        capsules = self.desk.session.states.capsules
        CapsuleWork(self, capsules, tell).ask(thread.id, quoted(thread), node.id)

    # ---------------------------------------------------------------- memory

    @telling
    async def refresh_memory(self, turns: int = USUAL_TURNS) -> bool:
        """Memory begins anew with what the conversation began with, what is pinned, and the last turns."""
        if (thread := self.idle()) is None:
            return False
        self.read(thread.id, self.branches.refresh(thread.id, turns))
        return True

    @telling
    async def remember_last(self, tokens: int) -> bool:
        """Memory begins with the last messages."""
        if (thread := self.idle()) is None:
            return False
        self.read(thread.id, await self.branches.remember_last(thread.id, tokens))
        return True

    def read(self, thread: str, reading: Reading) -> None:
        """Follow a reading of the open conversation, then show it as it is."""
        start_work(self, partial(self._read_through, thread, reading), group=f"read {thread}")

    async def _read_through(self, thread: str, reading: Reading) -> None:
        await self.follow_reading(thread, reading)
        if self.thread_id == thread:
            await self.shown_again()


def _bar(share: float) -> str:
    """How full it is, in a few cells: at least one for anything."""
    full = min(CELLS, max(1, round(share * CELLS)))
    return "▰" * full + "▱" * (CELLS - full)
