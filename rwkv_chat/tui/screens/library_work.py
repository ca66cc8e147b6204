"""What is done to conversations in the Library: tags, pins, the archive, the trash, the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rwkv_chat.library.erase import TRASH_DAYS
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.session.examples_types import Branch
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.library_files import LibraryFiles, names
from rwkv_chat.tui.screens.telling import telling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rwkv_chat.transcript import Thread


class LibraryWork(LibraryFiles):
    """Base of the Library screen."""

    # ---------------------------------------------------------------- labels

    def action_tag(self) -> None:
        """Ask for tags; those with a minus are taken off."""
        if threads := self.chosen():
            question = say("app.library.tag.ask", name=names(threads))
            self.app.push_screen(Ask(question), partial(self._tagged, threads))

    @telling
    async def _tagged(self, threads: list[Thread], typed: str | None) -> None:
        words = (typed or "").replace(",", " ").split()
        gone = [each[1:] for each in words if each.startswith("-")]
        put = [each for each in words if not each.startswith("-")]
        if words:
            await self.convs.tag([each.id for each in threads], put, gone)
            self.say_outcome(say("app.library.tag.done", name=names(threads)))
            self.reload()

    @telling
    async def action_pin(self) -> None:
        """Pin what is chosen; where all of it is pinned, none."""
        threads = self.chosen()
        on = any(each.pinned is None for each in threads)
        await self._do(threads, partial(self.convs.pin, on=on), "pin" if on else "unpin")

    @telling
    async def action_archive(self) -> None:
        threads = self.chosen()
        on = any(each.archived is None for each in threads)
        await self._do(threads, partial(self.convs.archive, on=on), "archive" if on else "unarchive")

    async def _do(
        self, threads: Sequence[Thread], work: Callable[[str], Awaitable[object]], done: str
    ) -> None:
        """One thing to each of them; nothing where nothing is chosen."""
        for each in threads:
            await work(each.id)
        if threads:
            self.say_outcome(say(f"app.library.done.{done}", name=names(threads), days=TRASH_DAYS))
            self.reload()

    def action_tune(self) -> None:
        """A new tuning run that learns from what is chosen."""
        if threads := self.chosen():
            self.desk.to_tune = tuple(Branch(each.id) for each in threads)
            self.app.switch_mode("tune")

    # ---------------------------------------------------------------- the trash, and the end

    @telling
    async def action_delete(self) -> None:
        """Into the trash; out of the trash, for good."""
        threads = self.chosen()
        if self.view == "trash" or any(each.deleted is not None for each in threads):
            await self._ask_to_erase(threads)
            return
        for each in threads:
            await self.desk.turns.stop(each.id)
        await self._do(threads, self.chats.delete, "delete")
        await self.desk.thrown_away()

    @telling
    async def action_restore(self) -> None:
        threads = [each for each in self.chosen() if each.deleted is not None]
        await self._do(threads, self.chats.restore, "restore")
        await self.desk.thrown_away()

    @telling
    async def action_erase(self) -> None:
        await self._ask_to_erase(self.chosen())

    async def _ask_to_erase(self, threads: list[Thread]) -> None:
        """Tuning runs that read them are named: their files hold the words, and go with them."""
        if threads:
            found = [each for thread in threads for each in await self.convs.tuned_on(thread.id)]
            runs = {each.id: title(each.name) for each in found}
            told = [say("app.library.erase.ask", name=names(threads))]
            told += [say("app.library.erase.runs", runs=listed(runs.values()))] if runs else []
            work = partial(self._erased, threads)
            self.app.push_screen(Confirm("\n\n".join(told), say("app.library.erase.yes")), work)

    @telling
    async def _erased(self, threads: list[Thread], sure: bool | None) -> None:
        """Personas that were made from them are named first: they hold what was said."""
        if not sure:
            return
        found = [each for thread in threads for each in await self.convs.made_from(thread.id)]
        made = {each.id: title(each.name) for each in found}
        if made:
            question = say("app.library.erase.states", name=names(threads), made=listed(made.values()))
            work = partial(self._erase, threads)
            self.app.push_screen(Confirm(question, say("app.library.erase.states_yes")), work)
        else:
            await self._erase(threads, with_states=False)

    @telling
    async def _erase(self, threads: list[Thread], with_states: bool | None) -> None:
        for each in threads:
            await self.desk.turns.stop(each.id)
        await self._do(threads, partial(self._erase_one, with_states=bool(with_states)), "erase")
        await self.desk.thrown_away()
        if asides := self.convs.asides():
            self.say_outcome(say("app.library.erase.aside", path=title(str(asides[0]), 300)), wrong=True)

    async def _erase_one(self, thread: str, *, with_states: bool) -> None:
        await self.convs.erase(thread, with_states=with_states)
        self.desk.drafts.forget(thread)
