"""Drafts of all conversations: in memory as they are typed, on the disk a moment later."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.session.drafts import Draft

if TYPE_CHECKING:
    from collections.abc import Callable

    from rwkv_chat.session import Session

log = logging.getLogger(__name__)
SAVE_SECONDS = 0.7  # after the first letter that is not kept yet
ROUNDS = 5  # a conversation may not be on the disk yet


class DraftKeeper:
    """None of its errors stops typing: a draft that cannot be kept now is tried again with the next.

    Attributes:
        look: has what stands in the prompt at this moment put here; None where there is no prompt (any more).
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._drafts: dict[str | None, Draft] = {}
        self._changed: set[str | None] = set()
        self._saving: asyncio.Task[None] | None = None
        self.look: Callable[[], None] | None = None

    async def load(self) -> None:
        """What an earlier run left; a message that was still waiting to be sent is a draft now."""
        for thread, draft in (await self._session.drafts.every()).items():
            text = "\n".join(filter(None, (draft.queued, draft.text)))
            self._drafts.setdefault(thread, replace(draft, text=text, queued=""))

    def of(self, thread: str | None) -> Draft:
        return self._drafts.get(thread, Draft())

    def put(self, thread: str | None, draft: Draft) -> None:
        """Remember a draft, and keep it soon."""
        if draft == self.of(thread):
            return
        self._drafts[thread] = draft
        self._changed.add(thread)
        if self._saving is None or self._saving.done():
            self._saving = asyncio.get_running_loop().create_task(self._save_soon())

    def queue(self, thread: str, text: str) -> None:
        """A message waits for the end of a reply; "": none does any more."""
        self.put(thread, replace(self.of(thread), queued=text))

    def leave(self) -> None:
        """The prompt is going."""
        if self.look is not None:
            self.look()
        self.look = None

    async def close(self) -> None:
        """Keep what is not kept yet."""
        self.leave()
        if self._saving is not None:
            self._saving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._saving
        await self._save()

    async def _save_soon(self) -> None:
        for _ in range(ROUNDS):
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()
            if not self._changed:
                return

    async def _save(self) -> None:
        from rwkv_chat.library.errors import LibraryError

        for thread in tuple(self._changed):
            draft = self.of(thread)
            try:
                kept = await self._session.drafts.keep(thread, draft)
            except LibraryError:
                log.exception("a draft was not kept")
                return
            if kept and self.of(thread) == draft:
                self._changed.discard(thread)
