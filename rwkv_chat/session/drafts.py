"""Messages that are not sent yet, and those that were, to be called back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import drafts
from rwkv_chat.library.drafts import Draft

if TYPE_CHECKING:
    from rwkv_chat.library.database import Library

__all__ = ["Draft", "Drafts"]
CALLED_BACK = 200  # messages


class Drafts:
    """All of them raise LibraryError. In a private chat the library is in memory, and so is this."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def every(self) -> dict[str | None, Draft]:
        """All drafts by their conversation; None for the new one."""
        return await self._library.run(drafts.every)

    async def keep(self, thread: str | None, draft: Draft) -> bool:
        """Put a draft in the place of the last one, an empty one for none. False where there is no such
        conversation on the disk (yet).
        """
        return await self._library.run(drafts.keep, thread, draft)

    async def sent(self) -> tuple[str, ...]:
        """The last messages that were typed, newest first."""
        return await self._library.run(drafts.sent, CALLED_BACK)
