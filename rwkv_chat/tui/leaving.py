"""Leaving the program: not without a word where something that was typed cannot be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from rwkv_chat.tui.app import RwkvChatApp


class Leaving:
    """Whoever asks a second time leaves, whatever is lost and however long the disk takes."""

    def __init__(self, app: RwkvChatApp) -> None:
        self._app, self._asked = app, False

    def ask(self) -> None:
        """Leave, or have the person choose."""
        if self._asked or not self._app.desk.prepared:
            self._app.exit(0)
        else:
            self._asked = True
            start_work(self._app, self._look)

    async def _look(self) -> None:
        if await self._app.desk.drafts.keep_now():
            self._app.exit(0)
            return
        from rwkv_chat.tui.screens.dialogs import Confirm

        dialog = Confirm(say("app.leave.question"), say("app.leave.yes"), say("app.leave.no"))
        self._app.push_screen(dialog, self._chosen)

    def _chosen(self, leave: bool | None) -> None:
        self._asked = False
        if leave:
            self._app.exit(0)
