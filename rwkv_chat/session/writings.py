"""Texts: raw completion at the cursor, with alternatives and undo. For base models and for writers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import writings
from rwkv_chat.session.exact import exact_prompt, unsaid
from rwkv_chat.session.titles import title_from
from rwkv_chat.session.wish import MOST_ALTERNATIVES, Wish
from rwkv_chat.templates import scrub

if TYPE_CHECKING:
    from rwkv_chat.library.writings import Writing
    from rwkv_chat.session.chats import Chats, Params
    from rwkv_chat.session.exact import ExactPrompt
    from rwkv_chat.session.turn import Turn
    from rwkv_chat.session.turns import Turns
    from rwkv_chat.transcript import Node, Thread


class Writings:
    """The use cases of texts: conversations of the kind "text". `Branches` undoes, switches and deletes in
    them as in any tree; `Chats.regenerate` and `Chats.continue_reply` work too.
    """

    def __init__(self, chats: Chats, turns: Turns) -> None:
        self._chats, self._turns, self._library = chats, turns, turns.desk.library

    async def begin(self, title: str = "") -> Thread:
        """A new, empty text. Raises: LibraryError."""
        return await self._chats.create(title, kind="text")

    async def open(self, thread_id: str) -> Writing:
        """A text with its cursor. Raises: LibraryError."""
        return await self._library.run(writings.read, thread_id)

    async def write(self, thread_id: str, before: str, after: str = "") -> Thread:
        """Keep a text as it was typed, without an answer; the cursor stands between `before` and `after`.

        Raises:
            ThreadBusy, SessionClosed, LibraryError.
        """
        await self._turns.free_and_whole(thread_id)
        thread, _ = await self._library.run(writings.write, thread_id, scrub(before), scrub(after))
        return thread

    async def exact_prompt(self, thread_id: str, before: str) -> ExactPrompt:
        """The tokens that `complete` would go on from. Waits for the model; feeds and keeps nothing.

        Raises:
            EngineError, LibraryError, TemplateInvalid.
        """
        thread, tip, rest = await self._library.run(writings.ahead, thread_id, scrub(before))
        said = (unsaid("user", rest),) if rest else ()
        return await exact_prompt(self._turns.desk, thread, tip, unkept=said)

    def complete(
        self, thread_id: str, before: str, after: str = "", params: Params = None, *, number: int = 1
    ) -> Turn:
        """Have the model go on at the cursor: with what stands before it; what stands after it is kept, and
        not read. What the text has in common with the last one is not fed again.

        Args:
            number: alternatives at once, up to 8: see `Chats.alternatives`.

        Raises:
            ThreadBusy, SessionClosed, ValueError.
        """
        if not 1 <= number <= MOST_ALTERNATIVES:
            raise ValueError(number)

        async def commit() -> tuple[Thread, Node]:
            thread, node = await self._library.run(writings.write, thread_id, scrub(before), scrub(after))
            if not thread.title.strip():
                thread = await self._chats.rename(thread_id, title_from(before))
            return thread, node

        return self._turns.begin(thread_id, commit, self._chats.fresh(params), Wish(number=number))
