"""Texts that are not sent yet, and those that were, to be called back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rwkv_chat.library import drafts
from rwkv_chat.library.drafts import PROMPT, WRITING, Draft, Left

if TYPE_CHECKING:
    from rwkv_chat.library.database import Library
    from rwkv_chat.windows import Windows

__all__ = ["PROMPT", "WRITING", "Draft", "Drafts", "Left"]
CALLED_BACK = 200  # messages


class Drafts:
    """This window's. All of them raise LibraryError. In a private chat the library is in memory, and so is
    this.
    """

    def __init__(self, library: Library, windows: Windows) -> None:
        self._library, self._windows = library, windows

    async def take_over(self) -> tuple[Left, ...]:
        """What windows left that are gone, oldest first; it is this window's from now on."""
        await asyncio.to_thread(self._windows.sign)
        return await self._library.run(drafts.take_over, self._windows.id, self._windows.gone)

    async def mine(self) -> tuple[Left, ...]:
        """This window's drafts as they are on the disk."""
        return await self._library.run(drafts.of_window, self._windows.id)

    async def keep(self, thread: str | None, draft: Draft, place: str = PROMPT) -> bool:
        """Put a draft in the place of the last one, an empty one for none. False where there is no such
        conversation on the disk (yet).
        """
        return await self._library.run(drafts.keep, self._windows.id, thread, draft, place)

    async def sent(self) -> tuple[str, ...]:
        """The last messages that were typed here, newest first."""
        return await self._library.run(drafts.sent, CALLED_BACK)
