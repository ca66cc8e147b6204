"""What is done to personas and to saved states on the States screen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from textual.screen import Screen

from engine.types import Prefilled
from rwkv_chat.explain import size
from rwkv_chat.plain_text import title
from rwkv_chat.session.state_types import Confirmed, Persona
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.import_dialog import AskPath, PathWords, typed_path
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.threads import quoted
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rwkv_chat.session.state_types import ChatUse
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.import_dialog import Import

View = Literal["personas", "chats"]
GB = 1_000_000_000


class StatesWork(Screen[None]):
    """Base of the States screen, which says what is shown (`reload`, `persona`, `chat`, `say_outcome`).

    Attributes:
        view: personas, or conversations by what their states take up.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.states = desk.session.states
        self.view: View = "personas"

    def reload(self, select: str | None = None) -> None:
        raise NotImplementedError

    def persona(self) -> Persona | None:
        """The highlighted persona."""
        raise NotImplementedError

    def chat(self) -> ChatUse | None:
        """The highlighted conversation."""
        raise NotImplementedError

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        raise NotImplementedError

    def work(self, job: Any, group: str) -> None:
        """Something that takes its time, one of its kind at once."""
        start_work(self, job, group=group, exclusive=True)

    # ---------------------------------------------------------------- personas

    def action_open(self) -> None:
        """A new conversation that begins from the persona; or the conversation."""
        if (persona := self.persona()) is not None:
            self.work(partial(self._begin, persona), "states begin")
        elif (chat := self.chat()) is not None:
            self.work(partial(self._go, chat.thread), "states begin")

    @telling
    async def _begin(self, persona: Persona) -> None:
        thread = await self.states.begin(persona.id)
        await self._go(thread.id)

    async def _go(self, thread: str) -> None:
        self.say_outcome("")
        self.app.switch_mode("chat")
        await self.desk.go(thread, "")

    def action_save(self) -> None:
        """Save where the open conversation stands, under a name."""
        thread = self.desk.open_thread
        if thread is None:
            self.say_outcome(say("app.states.nothing_open"), wrong=True)
            return
        question = say("app.states.save", name=quoted(thread))
        self.app.push_screen(Ask(question, title(thread.title)), partial(self._save_asked, thread.id))

    def _save_asked(self, thread: str, name: str | None) -> None:
        if name:
            self.work(partial(self._follow, self.states.save(thread, name), "saved"), "states make")

    def action_rebuild(self) -> None:
        """Have the model in use read what the persona was made of."""
        if (persona := self.persona()) is not None:
            self.work(partial(self._follow, self.states.rebuild(persona.id), "rebuilt"), "states make")

    def action_confirm(self) -> None:
        """Have an imported state's text read, and compare."""
        if (persona := self.persona()) is not None:
            self.work(partial(self._follow, self.states.confirm(persona.id), "confirmed"), "states make")

    @telling
    async def _follow(self, events: AsyncIterator[Prefilled | Persona | Confirmed], done: str) -> None:
        """Progress, then what came of it."""
        async for event in events:
            match event:
                case Prefilled(done=fed, total=total):
                    self.say_outcome(say("app.states.reading", done=f"{fed:,}", total=f"{total:,}"))
                case Persona(id=persona, name=name):
                    self.say_outcome(say(f"app.states.done.{done}", name=title(name)))
                    self.reload(persona)
                case Confirmed(agrees=True):
                    self.say_outcome(say("app.states.done.confirmed"))
                    self.reload()
                case Confirmed(difference=difference):
                    self.say_outcome(say("app.states.differs", difference=f"{difference:.2g}"), wrong=True)

    def action_rename(self) -> None:
        if (persona := self.persona()) is not None:
            work = partial(self._changed, persona, "name")
            self.app.push_screen(Ask(say("app.states.rename"), persona.name), work)

    def action_describe(self) -> None:
        if (persona := self.persona()) is not None:
            work = partial(self._changed, persona, "description")
            self.app.push_screen(Ask(say("app.states.describe"), persona.description), work)

    def action_tag(self) -> None:
        if (persona := self.persona()) is not None:
            work = partial(self._changed, persona, "tags")
            self.app.push_screen(Ask(say("app.states.tag"), " ".join(persona.tags)), work)

    @telling
    async def _changed(self, persona: Persona, what: str, value: str | None) -> None:
        if value is not None:
            new: Any = value.replace(",", " ").replace("#", "").split() if what == "tags" else value
            await self.states.change(persona.id, **{what: new})
            self.reload(persona.id)

    def action_remove(self) -> None:
        if (persona := self.persona()) is not None:
            question = say("app.states.remove", name=title(persona.name))
            work = partial(self._removed, persona)
            self.app.push_screen(Confirm(question, say("app.states.remove_yes")), work)

    @telling
    async def _removed(self, persona: Persona, sure: bool | None) -> None:
        if sure:
            await self.states.remove(persona.id)
            self.say_outcome(say("app.states.done.removed", name=title(persona.name)))
            self.reload()

    # ---------------------------------------------------------------- files

    def action_export(self) -> None:
        if (persona := self.persona()) is not None:
            question = say("app.states.export", name=title(persona.name))
            ask = Ask(question, hint=say("app.dialog.file_hint"))
            self.app.push_screen(ask, partial(self._exported, persona))

    @telling
    async def _exported(self, persona: Persona, answer: str | None) -> None:
        """The warning stands with the outcome, since it concerns what is done with the file next."""
        if (path := typed_path(answer or "")) is not None:
            shared = await self.states.export(persona.id, path.with_suffix(".safetensors"))
            done = say("app.states.done.exported", path=title(shared.path, 300), size=size(shared.nbytes))
            self.say_outcome(done)

    def action_import(self) -> None:
        words = PathWords(
            say("app.states.import.title"),
            say("app.states.import.placeholder"),
            say("app.states.import.hint"),
            say("app.states.import.take"),
        )
        self.app.push_screen(AskPath(words), self._imported)

    @telling
    async def _imported(self, answer: Import | None) -> None:
        if answer is not None:
            persona = await self.states.import_(answer.path)
            self.say_outcome(say("app.states.done.imported", name=title(persona.name)))
            self.view = "personas"
            self.reload(persona.id)

    # ---------------------------------------------------------------- room

    @telling
    async def action_hold(self) -> None:
        """Never give the state of a conversation up; or treat it like the others again."""
        if (chat := self.chat()) is not None:
            await self.states.hold(chat.thread, on=not chat.held)
            self.reload(chat.thread)

    @telling
    async def action_thin(self) -> None:
        gone = await self.states.thin()
        self.say_outcome(say("app.states.done.thinned", states=f"{gone.states:,}", size=size(gone.nbytes)))
        self.reload()

    def action_budget(self) -> None:
        now = self.desk.session.settings.snapshot_budget_gb
        self.app.push_screen(Ask(say("app.states.budget"), f"{now:g}"), self._budget_asked)

    @telling
    async def _budget_asked(self, answer: str | None) -> None:
        if answer is not None and await self._budget(answer, "snapshot_budget_gb"):
            now = self.desk.session.settings.snapshot_ram_gb
            self.app.push_screen(Ask(say("app.states.budget_ram"), f"{now:g}"), self._ram_asked)

    @telling
    async def _ram_asked(self, answer: str | None) -> None:
        if answer is not None:
            await self._budget(answer, "snapshot_ram_gb")

    async def _budget(self, answer: str, setting: str) -> bool:
        """Whether it was a number of GB that can be. Raises: OSError."""
        try:
            await self.desk.session.change_settings(**{setting: float(answer.replace(",", "."))})
        except ValueError:
            self.say_outcome(say("app.states.budget_wrong"), wrong=True)
            return False
        self.say_outcome(say("app.states.done.budget"))
        self.reload()
        return True
