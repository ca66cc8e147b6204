"""Texts on their way out of a conversation (a reply, a part of it, its links, all of it in plain view), and a
message that is written in an editor.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat import paths
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.listening import ListeningScreen
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from rwkv_chat.tui.outside import OutsideFailed
    from rwkv_chat.tui.prose.blocks import Block
    from rwkv_chat.tui.widgets.transcript import Transcript

EDITORS = ("nano", "vim", "vi", "notepad.exe")  # where none is named
PAGERS = ("less", "more")


class CopyingScreen(ListeningScreen):
    """Base of the chat screen."""

    # ---------------------------------------------------------------- copying

    def _last_reply(self) -> str:
        replies = [each.message.text for each in self.nodes if each.message.role == "assistant"]
        return replies[-1] if replies else ""

    def action_copy_reply(self) -> None:
        if text := self._last_reply():
            self.app.copy_to_clipboard(text)
        else:
            self.notify(say("app.copy.nothing"), markup=False)

    def action_copy_block(self) -> None:
        if text := self._last_reply():
            self.copy_block(text)
        else:
            self.notify(say("app.copy.nothing"), markup=False)

    def copy_block(self, text: str) -> None:
        """Choose a part of a message, and copy its source; the only one is copied at once."""
        from rwkv_chat.tui.prose.blocks import blocks
        from rwkv_chat.tui.screens.picking import Pick

        found = blocks(text)
        if len(found) < 2:
            self.app.copy_to_clipboard(found[0].source if found else text)
            return
        code = [at for at, each in enumerate(found) if each.language is not None]
        rows = [(_kind(each), each.source) for each in found]
        pick = Pick(say("prompt.copy.block"), rows, code[-1] if code else 0)
        self.app.push_screen(pick, partial(self._copy_picked, found))

    def _copy_picked(self, found: list[Block], number: int | None) -> None:
        if number is not None:
            self.app.copy_to_clipboard(found[number].source)
        self.prompt.focus()

    def on_transcript_code_pressed(self, event: Transcript.CodePressed) -> None:
        from rwkv_chat.tui.prose.blocks import codes

        found = codes(self._text_of(event.entry))
        if event.number < len(found):
            self.app.copy_to_clipboard(found[event.number])

    def _text_of(self, entry: str) -> str:
        """What was said in a message that is shown, or is being written."""
        node = next((each for each in self.nodes if each.id == entry), None)
        if node is not None:
            return clean(node.message.text)
        return clean(self.live.text) if self.live is not None else ""

    # ---------------------------------------------------------------- links

    def on_transcript_link_pressed(self, event: Transcript.LinkPressed) -> None:
        self.links(self._text_of(event.entry))

    def links(self, text: str) -> None:
        """Choose a link of a message; it is asked before it is opened."""
        from rwkv_chat.tui.prose.blocks import links
        from rwkv_chat.tui.screens.picking import Pick

        found = links(clean(text))
        if not found:
            self.notify(say("prompt.link.none"), markup=False)
        elif len(found) == 1:
            self._ask_link(found, 0)
        else:
            rows = [("", each) for each in found]
            self.app.push_screen(Pick(say("prompt.link.which"), rows), partial(self._ask_link, found))

    def _ask_link(self, found: list[str], number: int | None) -> None:
        from rwkv_chat.tui.screens.dialogs import Confirm

        if number is not None:
            question = say("prompt.link.question", link=found[number])
            dialog = Confirm(question, say("prompt.link.open"))
            self.app.push_screen(dialog, partial(self._open_link, found[number]))

    def _open_link(self, link: str, sure: bool | None) -> None:
        if sure:
            start_work(self, partial(self._browse, link))

    async def _browse(self, link: str) -> None:
        """A browser with a window of its own; without one, the link is copied."""
        from rwkv_chat.tui.browser import open_link

        if not await asyncio.to_thread(open_link, link, paths.surroundings()):
            self.app.copy_to_clipboard(link)
            self.notify(say("prompt.link.copied"), markup=False)

    # ---------------------------------------------------------------- other programs

    def action_edit_outside(self) -> None:
        self._begin_outside(self._edit_outside())

    def action_plain_view(self) -> None:
        self._begin_outside(self._plain_view())

    def _lent(self) -> AbstractContextManager[None]:
        """The terminal, given away by the app."""
        lend: Callable[[], AbstractContextManager[None]] = getattr(self.app, "lent")  # noqa: B009  a screen does not know its app's type
        return lend()

    def _begin_outside(self, work: Awaitable[None]) -> None:
        start_work(self, work, group="outside", exclusive=True)

    @telling
    async def _edit_outside(self) -> None:
        """The message in an editor, whole; what comes back stands in the box and can be undone there."""
        from rwkv_chat.tui.outside import OutsideFailed, edit

        program = paths.editor() or _found(EDITORS)
        if self.desk.session.private or not program:
            self.notify(say("prompt.editor.private" if program else "prompt.editor.none"), markup=False)
            return
        box, before = self.prompt, self.prompt.written
        try:
            text = await edit(self._lent, program, before)
        except OutsideFailed as error:
            self._tell_outside(error, program[0])
            return
        if box.written == before:
            box.replace(text, (0, 0), box.document.end)
        elif text != before:
            box.give_back(text)

    @telling
    async def _plain_view(self) -> None:
        """The conversation as plain text, where the terminal's own ways of copying work."""
        from rwkv_chat.tui.outside import OutsideFailed, page

        program = paths.pager() or _found(PAGERS)
        if not program:
            self.notify(say("prompt.pager.none"), markup=False)
            return
        try:
            await page(self._lent, program, self._plain())
        except OutsideFailed as error:
            self._tell_outside(error, program[0])

    def _tell_outside(self, error: OutsideFailed, program: str) -> None:
        """Where a text was left in a file, long enough to note down which."""
        words = {"program": error.program or program, "path": str(error.kept or "")}
        named = words if error.kept is not None else {"program": words["program"]}
        seconds = 60 if error.kept is not None else None
        text = say(f"prompt.outside.{error.kind}", **named)
        self.notify(text, severity="warning", timeout=seconds, markup=False)

    def _plain(self) -> str:
        from rwkv_chat.tui.words import node_entry

        live = [clean(self.live.text)] if self.live is not None and self.live.text else []
        said = [node_entry(each) for each in self.nodes]
        return "\n\n".join([*(f"{each.name}:\n{clean(each.text)}" for each in said), *live, ""])


def _kind(block: Block) -> str:
    if block.language is None:
        return ""
    return block.language.split(maxsplit=1)[0] if block.language else say("prompt.copy.code")


def _found(names: tuple[str, ...]) -> tuple[str, ...]:
    """The first of these programs that is here."""
    return next(((each,) for each in names if shutil.which(each)), ())
