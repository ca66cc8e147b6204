"""The tuning runs: what there is, how it goes, what came of it."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.errors import EngineError
from engine.types.tuning import Sampled
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.screens.tune_work import TuneWork
from rwkv_chat.tui.tune_details import Live, command_line, run_facts, run_outcome, run_row, sample_lines
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.library_list import LibraryList
from rwkv_chat.tui.widgets.loss_chart import LossChart

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.types import TuneEvent
    from rwkv_chat.session.tune_types import Tune
    from rwkv_chat.tui.desk import Desk

WIDE = 104  # cells; below, the details stand under the list
REDRAW = 0.25  # seconds between two pictures of a run that goes on
LOOK_AGAIN = 2.0  # seconds between two looks at runs that go on and are not shown


class TuneScreen(TuneWork):
    """The mode behind F10."""

    CSS_PATH = "tune.tcss"
    BINDINGS = textual_bindings("tune")
    AUTO_FOCUS = "#runs"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.runs: dict[str, Tune] = {}
        self.live = Live()
        self._followed = ""  # whose events are shown

    def compose(self) -> ComposeResult:
        with Horizontal(id="tune-top"):
            yield Static(say("tune_screen.title"), classes="title", id="tune-title", markup=False)
            yield Static(say("tune_screen.promise"), id="tune-promise", markup=False)
        with Horizontal(id="tune-body"):
            yield LibraryList(id="runs")
            yield Static(id="no-runs", markup=False)
            with Vertical(id="run"):
                with VerticalScroll(id="run-details", can_focus=False):
                    yield Static(id="run-facts", markup=False)
                    yield LossChart(id="losses")
                    yield Static(id="run-outcome", markup=False)
                    yield Static(id="run-samples", markup=False)
                yield Static(id="run-command", markup=False)
        yield Static(id="tune-said", markup=False)
        yield KeyFooter()

    @property
    def rows(self) -> LibraryList:
        return self.query_one(LibraryList)

    def on_mount(self) -> None:
        self.set_interval(LOOK_AGAIN, self.look_again)

    def on_screen_resume(self) -> None:
        self.query_one("#no-runs", Static).update(Content(say("tune_screen.none")))
        self.reload()
        chosen, self.desk.to_tune = self.desk.to_tune, ()
        if chosen:
            self.begin(chosen)

    # ---------------------------------------------------------------- what is shown

    def reload(self, select: str | None = None) -> None:
        self.work(partial(self._reload, select), "tunes")

    @telling
    async def _reload(self, select: str | None) -> None:
        self.runs = {each.id: each for each in await self.tunes.list()}
        self.rows.show([run_row(each) for each in self.runs.values()], select)
        self.set_class(not self.runs, "-nothing")
        if self.runs and self.focused is None:  # it could not have the focus while there was nothing in it
            self.call_after_refresh(self.rows.focus)
        self._follow_chosen()

    def look_again(self) -> None:
        """The run that is shown tells by itself how it stands; of others the list would stay as it was."""
        others = any(each.running and each.id != self._followed for each in self.runs.values())
        if others and self.is_current:
            self.work(self._list_again, "tunes again")

    @telling
    async def _list_again(self) -> None:
        self.runs = {each.id: each for each in await self.tunes.list()}
        self.rows.show([run_row(each) for each in self.runs.values()])

    def run_chosen(self) -> Tune | None:
        return self.runs.get(self.rows.current or "")

    def _follow_chosen(self, *, again: bool = False) -> None:
        """Show the highlighted run, and what it tells from now on."""
        tune = self.run_chosen()
        if tune is None:
            self._followed = ""
            self.show_run()
        elif again or tune.id != self._followed or tune.running:
            self._followed, self.live = tune.id, Live(steps=max(1, tune.steps))
            self.work(partial(self._follow, tune.id), "tune follow")
        else:
            self.show_run()

    @telling
    async def _follow(self, run: str) -> None:
        """Events as they come, pictures at a slower pace; at the end, how it stands."""
        self.show_run()
        drawn = monotonic()
        async for event in self.tunes.events(run):
            self.live.take(event, await self._text(run, event))
            if monotonic() - drawn >= REDRAW:
                await self._refresh(run)
                drawn = monotonic()
        await self._refresh(run)

    async def _text(self, run: str, event: TuneEvent) -> str:
        """Of a sample reply, by the run's own tokenizer: another model may be in use, or none."""
        if not isinstance(event, Sampled):
            return ""
        try:
            return (await self.tunes.words(run, event.tokens)).strip()
        except EngineError:  # its tokenizer has gone
            return ""

    async def _refresh(self, run: str) -> None:
        self.runs[run] = await self.tunes.show(run)
        self.rows.show([run_row(each) for each in self.runs.values()])
        self.show_run()

    def show_run(self) -> None:
        tune, live = self.run_chosen(), self.live
        facts = run_facts(tune, live) if tune is not None else Content("")
        self.query_one("#run-facts", Static).update(facts)
        outcome = run_outcome(tune, live) if tune is not None else Content("")
        self.query_one("#run-outcome", Static).update(outcome)
        self.query_one(LossChart).show(live.train, live.held, live.steps)
        self.query_one(LossChart).set_class(not live.train and not live.held, "-nothing-yet")
        self.query_one("#run-samples", Static).update(sample_lines(live) if tune else Content(""))
        self.query_one("#run-command", Static).update(command_line(tune.command if tune else ""))

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        said = self.query_one("#tune-said", Static)
        said.set_class(wrong, "-wrong")
        said.update(Content(text))

    # ---------------------------------------------------------------- keys

    def on_keyed_list_looked(self) -> None:
        self._follow_chosen()

    def on_keyed_list_chosen(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """What comes next for a run: it goes on, or its result is tried."""
        tune = self.run_chosen()
        if tune is not None and tune.done:
            self.action_compare()
        elif tune is not None and not tune.running:
            self.work(self.action_resume, "tune resume")

    def action_back(self) -> None:
        self.say_outcome("")
        self.app.switch_mode("chat")
