"""A new tuning run, in three steps: what to learn from, what was found there, how to learn it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Button, ContentSwitcher, Static

from rwkv_chat.session.examples_types import Looked, Selection
from rwkv_chat.session.tune_types import Plan
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.tune_found import FoundPane
from rwkv_chat.tui.screens.tune_plan import PlanPane
from rwkv_chat.tui.screens.tune_source import SourcePane
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from rwkv_chat.session.examples_types import Branch, Found
    from rwkv_chat.tui.desk import Desk

STEPS = ("source", "found", "plan")


class NewTuneScreen(Screen[Plan | None]):
    """Gives a plan that is to begin; None when left."""

    CSS_PATH: ClassVar = "tune.tcss"
    BINDINGS = textual_bindings("tune_new")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (104, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk, branches: Sequence[Branch] = ()) -> None:
        super().__init__()
        self.desk, self.tunes = desk, desk.session.tunes
        self.found: Found | None = None
        self._branches = tuple(branches)
        self._step = 0

    def compose(self) -> ComposeResult:
        with Horizontal(id="new-top"):
            yield Static(classes="title", id="new-title", markup=False)
            yield Static(id="new-progress", markup=False)
        with ContentSwitcher(initial="source", id="new-steps"):
            yield SourcePane(self.desk, self._branches, id="source")
            yield FoundPane(id="found")
            yield PlanPane(id="plan")
        yield Static(id="new-said", markup=False)
        with Horizontal(id="new-buttons"):
            yield Button(say("tune_screen.new.back"), id="new-back", compact=True)
            yield Button(say("tune_screen.new.next"), id="new-next", compact=True, variant="primary")
        yield KeyFooter()

    def on_mount(self) -> None:
        self._go(0)

    @property
    def source(self) -> SourcePane:
        return self.query_one(SourcePane)

    @property
    def options(self) -> FoundPane:
        return self.query_one(FoundPane)

    @property
    def plans(self) -> PlanPane:
        return self.query_one(PlanPane)

    def selection(self) -> Selection:
        """As the fields say. Raises: ValueError: one of them says nothing; its argument names it."""
        return self.options.applied(Selection(files=self.source.files, branches=self.source.branches))

    # ---------------------------------------------------------------- steps

    def _go(self, step: int) -> None:
        self._step = step
        name = STEPS[step]
        self.query_one(ContentSwitcher).current = name
        self.query_one("#new-title", Static).update(
            Content(say(f"tune_screen.new.step.{name}", number=step + 1, total=len(STEPS)))
        )
        self.query_one("#new-back", Button).display = step > 0
        label = say("tune_screen.new.start") if name == "plan" else say("tune_screen.new.next")
        self.query_one("#new-next", Button).label = label
        practice = step == 0 and self.desk.session.models.current.builtin  # said first, and with the plan
        self._say(say("tune_screen.warn.practice") if practice else "")
        self.call_after_refresh(self.query_one(f"#{name}").take_focus)  # pyright: ignore[reportAttributeAccessIssue]  every pane has it

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "new-back":
            event.stop()
            self.action_previous()
        elif event.button.id == "new-next":
            event.stop()
            self.action_next()

    def action_previous(self) -> None:
        if self._step:
            self._go(self._step - 1)
        else:
            self.dismiss(None)

    def action_mark(self) -> None:
        """A conversation to learn from, or not any more."""
        if self._step == 0 and self.source.chats.has_focus:
            self.source.chats.toggle()

    def action_next(self) -> None:
        match STEPS[self._step]:
            case "source" if not self.source.files and not self.source.branches:
                self._say(say("tune_screen.new.nothing"), wrong=True)
            case "source":
                self.look()
            case "found" if self.options.stale:
                self.look()
            case "found" if self.found is not None and self.found.needs_consent and not self.options.agreed:
                self._say(say("tune_screen.new.consent", word=self.options.word), wrong=True)
                self.options.ask_consent()
            case "found":
                self.plan()
            case _:
                self._start()

    def _start(self) -> None:
        plan = self.plans.plan
        if plan is None:
            self._say(self.plans.waiting)
        elif not plan.fits:
            self._say(say("tune_screen.warn.fits"), wrong=True)
        else:
            self.dismiss(plan)

    def action_look(self) -> None:
        """Look again, with the fields as they are."""
        if self._step == 1:
            self.look()

    # ---------------------------------------------------------------- work

    def _work(self, job: Any) -> None:
        start_work(self, job, group="new tune", exclusive=True)

    def look(self) -> None:
        """Read what was chosen, and show what is in it."""
        try:
            selection = self.selection()
        except ValueError as error:
            self._say(say("tune_screen.new.wrong", field=str(error)), wrong=True)
            return
        self._work(partial(self._look, selection))

    @telling
    async def _look(self, selection: Selection) -> None:
        self._progress(say("tune_screen.new.looking"))
        try:
            self.found = await self.tunes.look(selection, self._looked)
        finally:
            self._progress("")
        self._go(1)
        self.options.show(self.found)

    def _looked(self, looked: Looked) -> None:
        share = looked.done / looked.total if looked.total else 0.0
        self._progress(say("tune_screen.new.reading", file=looked.file + 1, share=f"{share:.0%}"))

    def plan(self) -> None:
        self._go(2)
        self.plans.clear()
        self._work(partial(self._plan, self.selection(), self.plans.method, self.plans.base))

    @telling
    async def _plan(self, selection: Selection, method: str, base: str) -> None:
        """What was found stays: a method is measured for a moment, and nothing is read again."""
        try:
            self._show(await self.tunes.plan(selection, method, found=self.found, base=base or None))
        except Exception:
            self.plans.clear(failed=True)
            raise

    def _show(self, plan: Plan) -> None:
        """The plan with each preset, by the name that was typed."""
        named = replace(plan, name=self.plans.name_typed or plan.name)
        self.plans.show([self.tunes.with_preset(named, each) for each in self.plans.presets], plan.name)

    def on_plan_pane_way_chosen(self, event: PlanPane.WayChosen) -> None:
        event.stop()
        self.plans.clear()
        self._work(partial(self._plan, self.selection(), event.method, event.base))

    def on_plan_pane_named(self, event: PlanPane.Named) -> None:
        event.stop()
        if self.plans.plan is not None:
            self._show(replace(self.plans.plan, name=self.plans.usual_name))

    # ---------------------------------------------------------------- what is said

    def _progress(self, text: str) -> None:
        self.query_one("#new-progress", Static).update(Content(text))

    def _say(self, text: str, *, wrong: bool = False) -> None:
        said = self.query_one("#new-said", Static)
        said.set_class(wrong, "-wrong")
        said.update(Content(text))
