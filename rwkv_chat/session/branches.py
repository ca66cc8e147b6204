"""Working with a conversation's tree: edit, branch, switch, delete, undo, and what memory begins from.

Every operation but those that give a `Reading` is a pointer moved: nothing is fed, since the state of the
place is saved; where it is not, the next turn rebuilds it and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rwkv_chat.library import branches, copies, copying, nodes, walks
from rwkv_chat.session import beginnings
from rwkv_chat.session.errors import EmptyMessage, NothingToRedo, NothingToUndo
from rwkv_chat.session.measured import measured
from rwkv_chat.session.readings import thread_and_tip
from rwkv_chat.session.titles import title_from
from rwkv_chat.templates import scrub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rwkv_chat.library.branches import Deleted, Undone
    from rwkv_chat.library.copying import Copying
    from rwkv_chat.session.chats import Chats, Params
    from rwkv_chat.session.turn import Reading, Turn
    from rwkv_chat.session.turns import Turns
    from rwkv_chat.transcript import Node, Thread

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What a model has taken in of a conversation, since its memory last began anew.

    Attributes:
        tokens: of it.
        trained_context: how many tokens the model was trained to remember over; None where nobody said.
        forgotten: messages before the beginning of memory, which are shown alone.
        partial: memory begins in the middle: with the last messages, or after a refresh.
    """

    tokens: int
    trained_context: int | None = None
    forgotten: int = 0

    @property
    def partial(self) -> bool:
        return self.forgotten > 0


class Branches:
    """The use cases of the tree. All raise LibraryError, and ThreadBusy while a reply is being written in the
    conversation.
    """

    def __init__(self, chats: Chats, turns: Turns) -> None:
        self._chats, self._turns = chats, turns
        self._desk, self._library = turns.desk, turns.desk.library

    # ------------------------------------------------------------------ looking

    async def siblings(self, node_id: str) -> tuple[Node, ...]:
        """The alternatives of a message (itself too), oldest first."""
        return await self._library.run(nodes.siblings, node_id)

    async def bookmarks(self, thread_id: str) -> tuple[Node, ...]:
        """The bookmarked messages of a conversation's tree, oldest first."""
        return await self._library.run(branches.bookmarks, thread_id)

    async def absorbed(self, thread_id: str) -> Absorbed:
        """How much the model in use has taken in of a conversation, or would have. Waits for the model.

        Raises:
            EngineError, TemplateInvalid.
        """
        thread, tip = await self._library.run(thread_and_tip, thread_id)
        speaker = await self._desk.models.speaking()
        there = await measured(self._desk, thread, tip, speaker)
        whole = await self._library.run(walks.length, tip)
        trained = self._desk.models.current.context
        return Absorbed(there.length, trained, whole - len(there.ends))

    # ------------------------------------------------------------------ changing

    async def edit(
        self, thread_id: str, node_id: str, text: str, *, keep_following: bool = False, params: Params = None
    ) -> Turn | Reading:
        """Another text for a message of either side, beside the old one; the tip moves there.

        A person's message is answered anew (a `Turn`). A reply or system message is read (a `Reading`), so
        that the next message is answered at once.

        Args:
            keep_following: what follows the message is copied after it and read (a `Reading` with its
                progress); the old branch stays.

        Raises:
            EmptyMessage, ThreadBusy, SessionClosed.
        """
        text = scrub(text)
        if not text.strip():
            raise EmptyMessage
        node = await self._library.run(nodes.get, node_id)
        follow = await self._library.run(copies.following, thread_id, node_id) if keep_following else ()

        async def commit() -> tuple[Thread, Node]:
            if len(follow) > copying.AT_ONCE:
                return await self._copied(copying.replacing, thread_id, node_id, text)
            work = copies.replace if follow else copies.edit
            return await self._library.run(work, thread_id, node_id, text)

        if node.message.role == "user" and not follow:
            return self._turns.begin(thread_id, commit, self._chats.sampled(params))
        return self._read(thread_id, commit)

    async def go(self, thread_id: str, node_id: str) -> Thread:
        """Go back to a message: the next one is said after it, in a new branch."""
        return await self._moved(branches.go, thread_id, node_id)

    async def switch(self, thread_id: str, node_id: str) -> Thread:
        """Go to the newest end of the branch that begins with a message: a sibling, an alternative. Of an
        alternative whose thoughts are forgotten, the answer is read behind all replies.
        """
        thread = await self._moved(branches.switch, thread_id, node_id)
        tip = None if thread.tip is None else await self._library.run(nodes.get, thread.tip)
        if tip is not None and tip.message.role == "assistant" and tip.mode not in ("", "none"):
            self._turns.readings.read(self._desk, thread_id)
        return thread

    async def branch(self, thread_id: str, node_id: str, title: str = "") -> Thread:
        """Another conversation that goes on from a message; this one stays as it is."""
        return await self._library.run(branches.fork, thread_id, node_id, title_from(title))

    async def delete_branch(self, thread_id: str, node_id: str) -> Deleted:
        """Delete a message and all that follows it, for 30 days in which `restore_branch` and `undo` bring it
        back. What other conversations stand on stays.
        """
        return await self._moved(branches.delete, thread_id, node_id)

    async def restore_branch(self, thread_id: str, node_id: str) -> Thread:
        """Bring a deleted branch back; the tip stays where it is."""
        return await self._library.run(branches.restore, thread_id, node_id)

    async def undo(self, thread_id: str) -> Undone:
        """Take the last turn, edit, switch or deletion back: text and memory are what they were before it.

        Raises:
            NothingToUndo.
        """
        if (undone := await self._moved(branches.undo, thread_id)) is None:
            raise NothingToUndo(thread_id)
        return undone

    async def redo(self, thread_id: str) -> Undone:
        """Do again what was taken back last. Raises: NothingToRedo."""
        if (redone := await self._moved(branches.redo, thread_id)) is None:
            raise NothingToRedo(thread_id)
        return redone

    # ------------------------------------------------------------------ marks

    async def bookmark(self, node_id: str, name: str | None = "") -> Node:
        """Put a bookmark on a message, with a name or without; None takes it away."""
        return await self._library.run(branches.bookmark, node_id, name)

    async def pin(self, node_id: str, on: bool = True) -> Node:
        """Have a message's turn said again whenever the memory is refreshed."""
        return await self._library.run(branches.pin, node_id, on)

    # ------------------------------------------------------------------ beginning anew

    def refresh(self, thread_id: str, turns: int = 4) -> Reading:
        """Memory begins anew: with what the conversation began with (a system message, a persona, a text that
        was read), the pinned turns and the last ones. The old chain stays: `undo` goes back to it.

        Raises:
            SessionClosed.
        """

        async def commit() -> tuple[Thread, Node]:
            return await self._begun_anew(thread_id, beginnings.refreshed, turns)

        return self._read(thread_id, commit)

    async def remember_last(self, thread_id: str, tokens: int) -> Reading:
        """Memory begins with the last messages, as many whole turns as fit in `tokens` (at least one): the
        rest of a conversation that no model here has read is shown, and not known. Waits for the model.

        Raises:
            EngineError, TemplateInvalid, SessionClosed.
        """
        self._turns.free(thread_id)
        thread, tip = await self._library.run(thread_and_tip, thread_id)
        speaker = await self._desk.models.speaking()
        ends = [end for end, _ in (await measured(self._desk, thread, tip, speaker)).ends]
        lengths = [end - begun for begun, end in zip((0, *ends), ends, strict=False)]

        async def commit() -> tuple[Thread, Node]:
            return await self._begun_anew(thread_id, beginnings.last, lengths, tokens)

        return self._read(thread_id, commit)

    # ------------------------------------------------------------------ inside

    def _read(self, thread: str, commit: Callable[[], Awaitable[tuple[Thread, Node]]]) -> Reading:
        self._turns.free(thread)
        return self._turns.readings.read(self._desk, thread, commit, background=False)

    async def _begun_anew(
        self, thread: str, choose: Callable[..., tuple[Node, ...]], *args: object
    ) -> tuple[Thread, Node]:
        sources = await self._library.run(choose, thread, *args)
        if len(sources) > copying.AT_ONCE:
            return await self._copied(copying.beginning_anew, thread, sources)
        return await self._library.run(beginnings.begin, thread, sources)

    async def _copied(self, begin: Callable[..., Copying], thread: str, *args: object) -> tuple[Thread, Node]:
        """Others come to the library between the parts. What a program that dies leaves is nobody's."""
        work = await self._library.run(begin, thread, *args)
        while work.left:
            work = await self._library.run(copying.go_on, work)
        return await self._library.run(copying.end, work)

    async def _moved(self, work: Callable[..., Result], thread: str, *args: object) -> Result:
        await self._turns.free_and_whole(thread)
        return await self._library.run(work, thread, *args)
