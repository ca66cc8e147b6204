"""What is done to tuning runs: begun, stopped, resumed, compared, kept, written, thrown away."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from engine.types import Progress
from rwkv_chat.phrases import sentences
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.export_dialog import AskExport
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.session.examples_types import Branch
    from rwkv_chat.session.tune_types import Plan, Tune
    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.screens.export_dialog import Wanted


def _leaving(leaves: bool) -> str:
    """That the chat model leaves the device, if it does."""
    return say("tune_screen.warn.leaves") if leaves else ""


class TuneWork(Screen[None]):
    """Base of the Tune screen, which says what is shown (`reload`, `run_chosen`, `say_outcome`)."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.tunes = desk.session.tunes

    def reload(self, select: str | None = None) -> None:
        raise NotImplementedError

    def run_chosen(self) -> Tune | None:
        """The highlighted run."""
        raise NotImplementedError

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        raise NotImplementedError

    def work(self, job: Any, group: str) -> None:
        """Something that takes its time, one of its kind at once."""
        start_work(self, job, group=group, exclusive=True)

    # ---------------------------------------------------------------- begun, stopped, resumed

    def action_new(self) -> None:
        self.begin(())

    def begin(self, branches: Sequence[Branch]) -> None:
        """Ask what to train on; `branches` are chosen already."""
        from rwkv_chat.tui.screens.tune_new import NewTuneScreen

        self.app.push_screen(NewTuneScreen(self.desk, branches), self._planned)

    def _planned(self, plan: Plan | None) -> None:
        if plan is not None:
            begins = say("tune_screen.done.begins", name=title(plan.name))
            self.say_outcome(sentences(begins, _leaving(plan.leaves)))
            self.work(partial(self._start, plan), "tune start")

    @telling
    async def _start(self, plan: Plan) -> None:
        """All is read once more, and written: that takes its time, and the screen goes on meanwhile."""
        tune = await self.tunes.start(plan)
        begun = say("tune_screen.done.begun", name=title(tune.name))
        self.say_outcome(sentences(begun, _leaving(plan.leaves)))
        self.reload(tune.id)

    @telling
    async def action_stop(self) -> None:
        """After its step, with a checkpoint: it can go on later."""
        tune = self.run_chosen()
        if tune is not None and tune.running:
            await self.tunes.stop(tune.id)
            self.say_outcome(say("tune_screen.done.stopping", name=title(tune.name)))

    @telling
    async def action_resume(self) -> None:
        tune = self.run_chosen()
        if tune is not None and not tune.running:
            leaves = await self.tunes.chat_leaves(tune.id)
            await self.tunes.resume(tune.id)
            resumed = say("tune_screen.done.resumed", name=title(tune.name))
            self.say_outcome(sentences(resumed, _leaving(leaves)))
            self.reload(tune.id)

    # ---------------------------------------------------------------- its result

    def action_compare(self) -> None:
        from rwkv_chat.tui.screens.tune_compare import CompareScreen

        tune = self.run_chosen()
        if tune is not None and tune.done:
            self.app.push_screen(CompareScreen(self.desk, tune))
        elif tune is not None:
            self.say_outcome(say("tune_screen.nothing_yet"), wrong=True)

    def action_keep(self) -> None:
        tune = self.run_chosen()
        if tune is not None and tune.done:
            self.work(partial(self._keep, tune), "tune keep")
        elif tune is not None:
            self.say_outcome(say("tune_screen.nothing_yet"), wrong=True)

    @telling
    async def _keep(self, tune: Tune) -> None:
        """Its result goes into the library of states; a conversation that it has read opens on it."""
        kept = await self.tunes.keep(tune.id, thread=tune.threads[0] if tune.threads else "")
        self.say_outcome(say("tune_screen.done.kept", name=title(kept.persona.name)))
        self.reload(tune.id)
        if kept.thread is not None:
            self.app.switch_mode("chat")
            await self.desk.go(kept.thread.id, "")

    def action_export(self) -> None:
        tune = self.run_chosen()
        if tune is not None and tune.done:
            dialog = AskExport(title(tune.name), tune.method)
            self.app.push_screen(dialog, partial(self._export_asked, tune))
        elif tune is not None:
            self.say_outcome(say("tune_screen.nothing_yet"), wrong=True)

    def _export_asked(self, tune: Tune, wanted: Wanted | None) -> None:
        if wanted is not None:
            self.work(partial(self._export, tune, wanted), "tune export")

    @telling
    async def _export(self, tune: Tune, wanted: Wanted) -> None:
        """The warning stands with the outcome again, since it concerns what is done with the file next."""
        self.say_outcome(say("tune_screen.writing", share="0%"))
        async for event in self.tunes.export(tune.id, wanted.path, wanted.what, wanted.numbers):
            if isinstance(event, Progress):
                share = event.done / event.total if event.total else 0.0
                self.say_outcome(say("tune_screen.writing", share=f"{share:.0%}"))
            else:
                self.say_outcome(say("tune_screen.done.exported", path=title(event.path, 300)))

    def action_copy(self) -> None:
        """The command line that does the same."""
        tune = self.run_chosen()
        if tune is not None and tune.command:
            self.app.copy_to_clipboard(tune.command)
            self.say_outcome(say("tune_screen.done.copied"))

    def action_remove(self) -> None:
        tune = self.run_chosen()
        if tune is not None:
            question = say("tune_screen.remove", name=title(tune.name))
            work = partial(self._removed, tune)
            self.app.push_screen(Confirm(question, say("tune_screen.remove_yes")), work)

    @telling
    async def _removed(self, tune: Tune, sure: bool | None) -> None:
        if sure:
            await self.tunes.remove(tune.id)
            self.say_outcome(say("tune_screen.done.removed", name=title(tune.name)))
            self.reload()
