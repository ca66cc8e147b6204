"""The command palette: conversations, and every action of the table of keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, shown_keys
from rwkv_chat.tui.screens.chat import ChatScreen

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT_OUT = {"prompt.send", "prompt.newline", "app.palette"}


class Actions(Provider):
    """Everything that a key does, by name."""

    def _rows(self) -> list[tuple[str, str, Callable[[], object]]]:
        rows = [
            (
                say(f"keys.{row.id}.label"),
                f"{say(f'keys.{row.id}.help')}  ({shown_keys(row.keys)})",
                row.action,
            )
            for row in BINDINGS
            if row.id not in LEFT_OUT
        ]
        return [
            (label, text, partial(self._run, action)) for label, text, action in rows if self._can(action)
        ]

    def _can(self, action: str) -> bool:
        """Whether the screen below, or the app, has the action."""
        method = f"action_{action.partition('(')[0]}"
        return hasattr(self.screen, method) or hasattr(self.app, method)

    async def _run(self, action: str) -> None:
        await self.app.run_action(action, self.screen)

    async def discover(self) -> Hits:
        for label, text, run in self._rows():
            yield DiscoveryHit(label, run, help=text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for label, text, run in self._rows():
            score = matcher.match(f"{label} {text}")
            if score > 0:
                yield Hit(score, Content(label), run, help=text)


class Conversations(Provider):
    """Chats by their titles."""

    async def search(self, query: str) -> Hits:
        screen = self.screen
        if not isinstance(screen, ChatScreen):
            return
        matcher = self.matcher(query)
        for thread in screen.threads:
            name = say("app.palette.chats", title=title(thread.title))
            score = matcher.match(name)
            if score > 0:
                yield Hit(
                    score,
                    Content(name),
                    partial(screen.open_thread, thread),
                    help=say("app.palette.chat_help"),
                )
