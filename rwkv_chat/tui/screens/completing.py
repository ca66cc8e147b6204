"""What may stand at the cursor of the prompt: commands after "/", files after "@"."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.screens.drafting import DraftingScreen
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.tui.completion import Offer, Wanted
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.widgets.completions import Completions
    from rwkv_chat.tui.widgets.prompt import PromptBox

LOOKING = "completions"  # the workers that look for files


class CompletingScreen(DraftingScreen):
    """Base of the chat screen."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._dropped: tuple[int, Wanted] | None = None  # a word whose completions were closed, and its row

    @property
    def completions(self) -> Completions:
        from rwkv_chat.tui.widgets.completions import Completions

        return self.query_one(Completions)

    def complete_soon(self) -> None:
        """Offer what may stand at the cursor."""
        if not self.begun:
            return
        from rwkv_chat.tui.completion import commands

        self.workers.cancel_group(self, LOOKING)
        word = self._word()
        if word is None:
            self._dropped = None
        if word is None or self._was_dropped(word):
            self._offer(())
        elif word.kind == "command":
            self._offer(commands(word.word))
        else:
            start_work(self, partial(self._files, word.word), group=LOOKING)

    def _was_dropped(self, word: Wanted) -> bool:
        """Whether it is still the word whose completions were closed, a little longer or shorter."""
        if self._dropped is None:
            return False
        row, old = self._dropped
        same_place = (row, old.start) == (self.prompt.cursor_location[0], word.start)
        return same_place and (old.word.startswith(word.word) or word.word.startswith(old.word))

    async def _files(self, word: str) -> None:
        from rwkv_chat.tui.completion import files

        self._offer(await asyncio.to_thread(files, word, Path.cwd()))

    def _word(self) -> Wanted | None:
        from rwkv_chat.tui.completion import wanted

        return wanted(self.prompt.before_cursor, first=self.prompt.document.line_count == 1)

    def _offer(self, offers: Sequence[Offer]) -> None:
        self.completions.show(offers)
        self.prompt.steering = bool(offers)

    # ---------------------------------------------------------------- what is chosen

    def on_prompt_box_steered(self, event: PromptBox.Steered) -> None:
        match event.way:
            case "next":
                self.completions.step(1)
            case "previous":
                self.completions.step(-1)
            case "take" | "send":
                self._take(self.completions.offer, send=event.way == "send")
            case "drop":
                self._drop()

    def on_completions_picked(self, event: Completions.Picked) -> None:
        self.prompt.focus()
        self._take(event.offer, send=False)

    def _drop(self) -> None:
        if (word := self._word()) is not None:
            self._dropped = self.prompt.cursor_location[0], word
        self._offer(())

    def _take(self, offer: Offer | None, *, send: bool) -> None:
        word = self._word()
        self._offer(())
        if offer is None or word is None:
            return
        length = len(self.prompt.before_cursor) - word.start
        if offer.path is not None:
            start_work(self, partial(self._attach_file, offer.path, self.prompt.before_cursor, length))
            return
        self.prompt.complete(offer.inserted, length)
        if send and offer.whole:
            self.prompt.action_send()

    async def _attach_file(self, path: Path, line: str, length: int) -> None:
        """A file's text stands folded in place of the word that named it."""
        from rwkv_chat.attachments import LARGEST, NotAttached, attach
        from rwkv_chat.explain import size

        try:
            found = await asyncio.to_thread(attach, path, Path.cwd(), Path.home())
        except NotAttached as error:
            text = say(
                f"prompt.attach.{error.kind}", name=error.name, reason=error.reason, most=size(LARGEST)
            )
            self.notify(text, severity="warning", markup=False)
            return
        if self.prompt.before_cursor == line:  # nobody typed on meanwhile
            words = say("prompt.fold.file", name=found.name, lines=f"{found.lines:,}")
            self.prompt.put(words, found.said(), length)
