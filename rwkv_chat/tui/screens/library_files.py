"""Conversations of the Library as files: exports, logs of other programs, capsules."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from textual.screen import Screen

from engine.types import Prefilled
from rwkv_chat.example_words import reported
from rwkv_chat.exporters import EXPORTERS
from rwkv_chat.exporters.file import form_of
from rwkv_chat.importers.arrange import Cast
from rwkv_chat.importers.forms import Report
from rwkv_chat.importers.logs import Progress
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.session.logs import Imported
from rwkv_chat.session.state_types import Confirmed
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.capsule_work import CapsuleWork
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.import_dialog import typed_path
from rwkv_chat.tui.screens.log_dialog import AskLog, LogWords
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.threads import quoted
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.log_dialog import Log

View = Literal["alive", "archived", "trash"]


class LibraryFiles(Screen[None]):
    """Base of the Library screen, which says what is shown (`reload`, `chosen`, `say_outcome`).

    Attributes:
        view: which conversations are listed.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.convs, self.chats = desk.session.convs, desk.session.chats
        self.capsules = desk.session.states.capsules
        self.view: View = "alive"

    def reload(self, select: str | None = None) -> None:
        """Read what is shown again; `select` is the key of a row to go to."""
        raise NotImplementedError

    def chosen(self) -> list[Thread]:
        """The marked conversations, or the highlighted one."""
        raise NotImplementedError

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        raise NotImplementedError

    # ---------------------------------------------------------------- files

    def action_export(self) -> None:
        """Ask for a file; its ending says in which format."""
        if threads := self.chosen():
            endings = listed(each.suffix for each in EXPORTERS.values())
            question = say("app.library.export.ask", name=names(threads), endings=endings)
            ask = Ask(question, hint=say("app.dialog.file_hint"))
            self.app.push_screen(ask, partial(self._exported, threads))

    @telling
    async def _exported(self, threads: list[Thread], answer: str | None) -> None:
        path = typed_path(answer or "")
        if path is None:
            return
        form, shown = form_of(path), title(str(path), 300)
        if form is None:
            endings = listed(each.suffix for each in EXPORTERS.values())
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
        """Ask for a file, what it is, and who of those who speak in it is the person."""
        words = LogWords(
            say("app.library.import.title"),
            say("app.library.import.who"),
            say("app.library.import.take"),
            capsules=True,
        )
        self.app.push_screen(AskLog(words), self._imported)

    def _imported(self, answer: Log | None) -> None:
        if answer is not None:
            start_work(self, partial(self._take_in, answer), group="import")

    @telling
    async def _take_in(self, log: Log) -> None:
        found: list[Imported] = []
        counted = ""
        async for event in self.convs.take_in(log.path, log.form, Cast(me=log.who)):
            if isinstance(event, Progress) and event.total:
                share = f"{event.done / event.total:.0%}"
                self.say_outcome(say("app.library.import.reading", share=share))
            elif isinstance(event, Imported):
                found.append(event)
            elif isinstance(event, Report):
                counted = reported(event)
        new = [each.thread.id for each in found if each.new]
        unverified = await self.capsules.unverified(each.thread.id for each in found)
        done = "app.library.import.unverified" if unverified else "app.library.import.done"
        told = say(done, new=len(new), known=len(found) - len(new))
        self.say_outcome(" · ".join(filter(None, (told, counted))))
        self.reload(new[0] if new else None)

    # ---------------------------------------------------------------- capsules

    def action_capsule(self) -> None:
        """Write a conversation with its memory into a file."""
        threads = self.chosen()
        if len(threads) > 1:
            self.say_outcome(say("app.capsule.one"), wrong=True)
        elif threads:
            CapsuleWork(self, self.capsules, self.say_outcome, self.say_outcome).ask(
                threads[0].id, quoted(threads[0])
            )

    def action_confirm(self) -> None:
        """Have the text of a conversation that came in a capsule read, and compare."""
        if threads := self.chosen():
            work = partial(self._confirm, threads[0])
            start_work(self, work, group="confirm", exclusive=True)

    @telling
    async def _confirm(self, thread: Thread) -> None:
        async for event in self.capsules.confirm(thread.id):
            match event:
                case Prefilled(done=done, total=total):
                    self.say_outcome(say("app.states.reading", done=f"{done:,}", total=f"{total:,}"))
                case Confirmed(agrees=True):
                    self.say_outcome(say("app.library.confirm.agrees"))
                    self.reload(thread.id)
                case Confirmed(difference=difference):
                    self.say_outcome(say("app.states.differs", difference=f"{difference:.2g}"), wrong=True)


def names(threads: Sequence[Thread]) -> str:
    """One by its title, several by their number."""
    if len(threads) == 1:
        return quoted(threads[0])
    return say("app.library.several", number=len(threads))
