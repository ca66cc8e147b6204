"""What is done to conversations in the Library: tags, pins, the archive, files, the trash, the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from textual.screen import Screen

from rwkv_chat.exporters import EXPORTERS
from rwkv_chat.exporters.file import form_of
from rwkv_chat.library.erase import TRASH_DAYS
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.import_dialog import AskPath, PathWords, typed_path
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.threads import name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.import_dialog import Import

View = Literal["alive", "archived", "trash"]


class LibraryWork(Screen[None]):
    """Base of the Library screen, which says what is shown (`reload`, `chosen`, `say_outcome`).

    Attributes:
        view: which conversations are listed.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.convs, self.chats = desk.session.convs, desk.session.chats
        self.view: View = "alive"

    def reload(self, select: str | None = None) -> None:
        """Read what is shown again; `select` is the key of a row to go to."""
        raise NotImplementedError

    def chosen(self) -> list[Thread]:
        """The marked conversations, or the highlighted one."""
        raise NotImplementedError

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        raise NotImplementedError

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

    # ---------------------------------------------------------------- files

    def action_export(self) -> None:
        """Ask for a file; its ending says in which format."""
        if threads := self.chosen():
            endings = ", ".join(each.suffix for each in EXPORTERS.values())
            question = say("app.library.export.ask", name=names(threads), endings=endings)
            self.app.push_screen(Ask(question), partial(self._exported, threads))

    @telling
    async def _exported(self, threads: list[Thread], answer: str | None) -> None:
        path = typed_path(answer or "")
        if path is None:
            return
        form, shown = form_of(path), title(str(path), 300)
        if form is None:
            endings = ", ".join(each.suffix for each in EXPORTERS.values())
            self.say_outcome(say("app.library.export.ending", path=shown, endings=endings), wrong=True)
        elif path.exists():
            question = say("app.library.export.replace", path=shown)
            work = partial(self._export_over, threads, form, path)
            self.app.push_screen(Confirm(question, say("app.library.export.yes")), work)
        else:
            await self._export(threads, form, path)

    async def _export_over(self, threads: list[Thread], form: str, path: Path, sure: bool | None) -> None:
        if sure:
            await self._export(threads, form, path)

    @telling
    async def _export(self, threads: list[Thread], form: str, path: Path) -> None:
        await self.convs.export([each.id for each in threads], form, path)
        done = say("app.library.export.done", name=names(threads), path=title(str(path), 300))
        self.say_outcome(done)

    def action_import(self) -> None:
        words = PathWords(
            say("app.library.import.title"),
            say("app.library.import.placeholder"),
            say("app.library.import.hint"),
            say("app.library.import.take"),
        )
        self.app.push_screen(AskPath(words), self._imported)

    @telling
    async def _imported(self, answer: Import | None) -> None:
        if answer is None:
            return
        found = await self.convs.import_(answer.path)
        new = [each for each in found if each.new]
        done = say("app.library.import.done", new=len(new), known=len(found) - len(new))
        self.say_outcome(done)
        self.reload(new[0].thread.id if new else None)

    # ---------------------------------------------------------------- the trash, and the end

    @telling
    async def action_delete(self) -> None:
        """Into the trash; out of the trash, for good."""
        threads = self.chosen()
        if self.view == "trash" or any(each.deleted is not None for each in threads):
            self._ask_to_erase(threads)
            return
        for each in threads:
            await self.desk.turns.stop(each.id)
        await self._do(threads, self.chats.delete, "delete")

    @telling
    async def action_restore(self) -> None:
        threads = [each for each in self.chosen() if each.deleted is not None]
        await self._do(threads, self.chats.restore, "restore")

    def action_erase(self) -> None:
        self._ask_to_erase(self.chosen())

    def _ask_to_erase(self, threads: list[Thread]) -> None:
        if threads:
            question = say("app.library.erase.ask", name=names(threads))
            work = partial(self._erased, threads)
            self.app.push_screen(Confirm(question, say("app.library.erase.yes")), work)

    @telling
    async def _erased(self, threads: list[Thread], sure: bool | None) -> None:
        """Personas that were made from them are named first: they hold what was said."""
        if not sure:
            return
        found = [each for thread in threads for each in await self.convs.made_from(thread.id)]
        made = {each.id: title(each.name) for each in found}
        if made:
            question = say("app.library.erase.states", name=names(threads), made=", ".join(made.values()))
            work = partial(self._erase, threads)
            self.app.push_screen(Confirm(question, say("app.library.erase.states_yes")), work)
        else:
            await self._erase(threads, with_states=False)

    @telling
    async def _erase(self, threads: list[Thread], with_states: bool | None) -> None:
        for each in threads:
            await self.desk.turns.stop(each.id)
        await self._do(threads, partial(self.convs.erase, with_states=bool(with_states)), "erase")
        if asides := self.convs.asides():
            self.say_outcome(say("app.library.erase.aside", path=title(str(asides[0]), 300)), wrong=True)


def names(threads: Sequence[Thread]) -> str:
    """One by its title, several by their number."""
    if len(threads) == 1:
        return name_of(threads[0])
    return say("app.library.several", number=len(threads))
