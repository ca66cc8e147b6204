"""Drafts of all conversations: in memory as they are typed, on the disk a moment later."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.session.drafts import PROMPT, Draft
from rwkv_chat.tui.folds import Folds
from rwkv_chat.unforeseen import begin, safely

if TYPE_CHECKING:
    from collections.abc import Callable

    from rwkv_chat.session import Session

    Key = tuple[str | None, str]  # a conversation, a place in it

log = logging.getLogger(__name__)
SAVE_SECONDS = 0.7  # after the first letter that is not kept yet
ROUNDS = 5  # a conversation may not be on the disk yet
LATE_SECONDS = 2.0  # until a window that was just killed is seen to be gone


class DraftKeeper:
    """None of its errors stops typing: a draft that cannot be kept now is tried again with the next.

    Attributes:
        look: has what stands in the prompt at this moment put here; None where there is no prompt (any more).
        came: what another window left has come to the draft of this conversation.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._drafts: dict[Key, Draft] = {}
        self._leaving: list[tuple[str | None, str]] = []
        self._erased: set[str] = set()
        self._changed: set[Key] = set()
        self._saving: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._to_look = False
        self.look: Callable[[], None] | None = None
        self.came: Callable[[str | None], None] | None = None

    # ---------------------------------------------------------------- what others left

    async def load(self) -> None:
        """What windows left that are gone. One that seems to be open may be dying: it is looked at again."""
        await self._take_over()
        if not self._session.windows.alone:
            self._to_look = True
            self._looking = begin(self._look(LATE_SECONDS))

    def look_around(self) -> None:
        """A window may have been closed meanwhile: take over what it left."""
        self._to_look = True
        if self._looking is None or self._looking.done():
            self._looking = begin(self._look())

    async def _look(self, after: float = 0.0) -> None:
        from rwkv_chat.library.errors import LibraryError

        await asyncio.sleep(after)
        while self._to_look:  # it is asked for again while it goes on
            self._to_look = False
            try:
                await self._take_over()
            except LibraryError:
                log.exception("drafts were not read")

    async def _take_over(self) -> None:
        """What was left stands before what was typed here since; a message that was waiting to be sent is a
        draft now.
        """
        left = await self._session.drafts.take_over()
        if left and self.look is not None:
            self.look()
        for each in reversed(left):
            before = Draft("\n".join(filter(None, (each.draft.queued, each.draft.text))), each.draft.folded)
            self.put(each.thread, joined(before, self.of(each.thread, each.place)), each.place)
            self._keep_soon(each.thread, each.place)  # as one
        for thread in dict.fromkeys(each.thread for each in left if each.place == PROMPT):
            if self.came is not None:
                self.came(thread)

    # ---------------------------------------------------------------- drafts

    def of(self, thread: str | None, place: str = PROMPT) -> Draft:
        return self._drafts.get((thread, place), Draft())

    def put(self, thread: str | None, draft: Draft, place: str = PROMPT) -> None:
        """Remember a draft, and keep it soon."""
        if draft == self.of(thread, place) or thread in self._erased:
            return
        self._drafts[thread, place] = draft
        self._keep_soon(thread, place)

    def queue(self, thread: str, text: str) -> None:
        """A message waits for the end of a reply; "": none does any more."""
        self.put(thread, replace(self.of(thread), queued=text))

    def give_back(self, thread: str | None, text: str) -> None:
        """A message could not be sent: it stands before what was typed since."""
        self.put(thread, joined(Draft(text), self.of(thread)))

    def leaving(self, thread: str | None, text: str) -> None:
        """A message has left the prompt; until it is on the disk, it is kept as one that waits."""
        self._leaving.append((thread, text))
        self._keep_soon(thread)

    def gone_out(self, text: str) -> None:
        """It is on the disk, answered, or in the prompt again."""
        found = next((each for each in self._leaving if each[1] == text), None)
        if found is not None:
            self._leaving.remove(found)
            self._keep_soon(found[0])

    def forget(self, thread: str) -> None:
        """A conversation was erased, with its drafts."""
        self._erased.add(thread)
        self._drafts = {key: draft for key, draft in self._drafts.items() if key[0] != thread}
        self._leaving = [each for each in self._leaving if each[0] != thread]
        self._changed = {each for each in self._changed if each[0] != thread}

    # ---------------------------------------------------------------- keeping

    def leave(self) -> None:
        """The prompt is going."""
        look, self.look, self.came = self.look, None, None
        if look is not None:
            safely(look)  # whatever is wrong with it, what was typed before is kept

    async def keep_now(self) -> bool:
        """Keep what is not kept yet; whether nothing of it would be lost if the program ended now."""
        if self.look is not None:
            safely(self.look)
        await self._save()
        return all(self._whole(each) == Draft() for each in self._changed)

    async def close(self) -> None:
        """Keep what is not kept yet."""
        self.leave()
        tasks = [each for each in (self._looking, self._saving) if each is not None]
        for each in tasks:
            each.cancel()
        if tasks:
            await asyncio.wait(tasks)  # whatever has failed there, what is not kept is kept now
        await self._save()

    def _keep_soon(self, thread: str | None, place: str = PROMPT) -> None:
        self._changed.add((thread, place))
        if self._saving is None or self._saving.done():
            self._saving = begin(self._save_soon())

    async def _save_soon(self) -> None:
        for _ in range(ROUNDS):
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()
            if not self._changed:
                return

    async def _save(self) -> None:
        for key in tuple(self._changed):
            draft = self._whole(key)
            try:
                kept = await self._session.drafts.keep(key[0], draft, key[1])
            except Exception:  # one that cannot be kept stands in no other's way
                log.exception("a draft was not kept")
                continue
            if kept and self._whole(key) == draft:
                self._changed.discard(key)

    def _whole(self, key: Key) -> Draft:
        """With what has left the prompt and has not arrived."""
        draft = self.of(*key)
        leaving = [text for thread, text in self._leaving if (thread, PROMPT) == key]
        return replace(draft, queued="\n".join(filter(None, (*leaving, draft.queued)))) if leaving else draft


def joined(first: Draft, second: Draft) -> Draft:
    """Both texts, `first` above; a text that is folded in `second` keeps its mark, or gets one of its own."""
    if not first.text:
        return second
    folds = Folds(first.folded)
    marks = {mark: folds.add(mark[1:-1], text) for mark, text in second.folded}
    text = "\n".join(filter(None, (first.text, Folds(marks.items()).written(second.text))))
    return Draft(text, folds.used(text), second.queued)
