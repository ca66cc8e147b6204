"""A branch with its memory as one file, asked for on the Library and in the list of messages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.types import Prefilled
from rwkv_chat.explain import size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Ask
from rwkv_chat.tui.screens.import_dialog import typed_path
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.screen import Screen

    from rwkv_chat.session.capsules import Capsules

SUFFIX = ".capsule"


class CapsuleWork:
    """Asks for a file and writes it."""

    def __init__(
        self,
        screen: Screen[None],
        capsules: Capsules,
        tell: Callable[[str], None],
        reading: Callable[[str], None] | None = None,
    ) -> None:
        """`tell`: called with the outcome.  reading: with how far it is, where no state is there yet."""
        self._screen, self._capsules, self._tell = screen, capsules, tell
        self._reading = reading
        self.notify = screen.notify  # for `telling`

    def ask(self, thread: str, name: str, node: str | None = None) -> None:
        """Up to a message, or to where the conversation stands. What a state may reveal is said first."""
        question = say("app.capsule.ask", name=name)
        self._screen.app.push_screen(
            Ask(question, hint=say("app.dialog.file_hint")), partial(self._asked, thread, node)
        )

    def _asked(self, thread: str, node: str | None, answer: str | None) -> None:
        if (path := typed_path(answer or "")) is not None:
            path = path if path.suffix else path.with_name(path.name + SUFFIX)
            work = partial(self._write, thread, node, path)
            start_work(self._screen, work, group="capsule", exclusive=True)

    @telling
    async def _write(self, thread: str, node: str | None, path: Path) -> None:
        async for event in self._capsules.export(thread, path, node=node):
            if not isinstance(event, Prefilled):
                self._tell(say("app.capsule.done", path=title(event.path, 300), size=size(event.nbytes)))
            elif self._reading is not None:
                self._reading(say("app.states.reading", done=f"{event.done:,}", total=f"{event.total:,}"))
