"""The model alone beside what was tuned of it: the same message with the same seed, and ten moments blind."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from rwkv_chat.phrases import sentences
from rwkv_chat.plain_text import clean, title
from rwkv_chat.texts import say
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.telling import telling
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session.tune_types import Moment, Side, Tune
    from rwkv_chat.tui.desk import Desk

SIDES: tuple[Side, ...] = ("base", "tuned")
PLACES = 3  # answers of a moment


class CompareScreen(Screen[None]):
    """A message is answered twice; or moments are judged, one after the other.

    Attributes:
        blind: moments are shown, not replies to a message.
        moment: the one that waits to be judged.
    """

    CSS_PATH = "tune.tcss"
    BINDINGS = textual_bindings("compare")
    AUTO_FOCUS = "#compare-prompt"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (104, "-wide")]  # noqa: RUF012  declared by Textual

    def __init__(self, desk: Desk, tune: Tune) -> None:
        super().__init__()
        self.desk, self.tunes, self.tune = desk, desk.session.tunes, tune
        self.blind = False
        self.moment: Moment | None = None
        self._waiting: list[Moment] = []
        self._all = False  # every moment has come
        self._said: dict[Side, str] = dict.fromkeys(SIDES, "")

    def compose(self) -> ComposeResult:
        with Horizontal(id="compare-top"):
            heading = say("tune_screen.compare.title", name=title(self.tune.name))
            yield Static(heading, classes="title", id="compare-title", markup=False)
            yield Static(id="compare-losses", markup=False)
        with Vertical(id="beside"):
            yield Input(placeholder=say("tune_screen.compare.ask"), id="compare-prompt", compact=True)
            with Horizontal(id="sides"):
                for side in SIDES:
                    with VerticalScroll(classes="side", can_focus=False):
                        yield Static(say(f"tune_screen.compare.{side}"), classes="heading", markup=False)
                        yield Static(id=f"said-{side}", markup=False)
        with VerticalScroll(id="blind"):
            yield Static(id="moment", markup=False)
        yield Static(id="compare-said", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        self.query_one("#blind").display = False
        self.query_one("#compare-losses", Static).update(Content(self._losses()))

    def _losses(self) -> str:
        """Perplexity on what was held out, of both."""
        losses = self.tunes.losses(self.tune)
        if losses.base is None or losses.tuned is None:
            return say("tune_screen.compare.no_losses")
        base, tuned = (f"{math.exp(min(each, 50.0)):,.2f}" for each in (losses.base, losses.tuned))
        return say("tune_screen.compare.losses", base=base, tuned=tuned)

    def _work(self, job: Any) -> None:
        start_work(self, job, group="compare", exclusive=True)

    def _say(self, text: str) -> None:
        self.query_one("#compare-said", Static).update(Content(text))

    # ---------------------------------------------------------------- side by side

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self._work(partial(self._beside, event.value.strip()))

    @telling
    async def _beside(self, prompt: str) -> None:
        self._said = dict.fromkeys(SIDES, "")
        self._say(say("tune_screen.compare.asking"))
        self._show_sides()
        try:
            async for said in self.tunes.beside(self.tune.id, prompt):
                self._said[said.side] += said.text
                self._show_sides()
        except Exception:
            self._say("")
            raise
        self._say("")

    def _show_sides(self) -> None:
        for side, text in self._said.items():
            self.query_one(f"#said-{side}", Static).update(Content(clean(text).strip()))

    # ---------------------------------------------------------------- blind

    def action_blind(self) -> None:
        """Ten moments, judged blind; and back."""
        self.blind = not self.blind
        self.query_one("#beside").display = not self.blind
        self.query_one("#blind").display = self.blind
        self.refresh_bindings()
        if self.blind:
            self.query_one("#blind").focus()
            self.moment, self._waiting, self._all = None, [], False
            self._show_moment()
            self._work(self._moments)
        else:
            self.query_one("#compare-prompt").focus()
            self._say("")

    @telling
    async def _moments(self) -> None:
        try:
            await self._tell_count()
            async for moment in self.tunes.moments(self.tune.id):
                if moment.chosen is None:
                    self._waiting.append(moment)
                    if self.moment is None:
                        self._next()
        except Exception:
            self.query_one("#moment", Static).update(Content(""))
            raise
        self._all = True
        if self.moment is None:
            self._show_moment()

    def _next(self) -> None:
        self.moment = self._waiting.pop(0) if self._waiting else None
        self._show_moment()

    def _show_moment(self) -> None:
        moment = self.moment
        if moment is None:
            told = say("tune_screen.compare.none_left" if self._all else "tune_screen.compare.preparing")
            self.query_one("#moment", Static).update(Content(told))
            return
        lines = [
            Content.styled(clean(moment.before), "$muted"),
            Content(""),
            Content.styled(say("tune_screen.compare.which"), "bold $primary"),
        ]
        for place, answer in enumerate(moment.answers, 1):
            lines += [Content(""), Content.styled(f"{place}  ", "bold $accent") + Content(clean(answer))]
        self.query_one("#moment", Static).update(Content("\n").join(lines))
        self.query_one("#blind", VerticalScroll).scroll_end(animate=False)

    def action_judge(self, place: int) -> None:
        """Answer `place` (1, 2, 3) is taken for the person's own."""
        if self.moment is not None and 1 <= place <= PLACES:
            moment, self.moment = self.moment, None
            start_work(self, partial(self._judged, moment, place - 1), group="judge")

    @telling
    async def _judged(self, moment: Moment, place: int) -> None:
        side = await self.tunes.judge(self.tune.id, moment.index, place)
        await self._tell_count(say(f"tune_screen.compare.was.{side}"))
        self._next()

    async def _tell_count(self, before: str = "") -> None:
        count = await self.tunes.count(self.tune.id)
        told = say(
            "tune_screen.compare.count",
            judged=count.judged,
            moments=count.moments,
            real=count.real,
            base=count.base,
            tuned=count.tuned,
        )
        self._say(sentences(before, told))

    # ---------------------------------------------------------------- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Numbers judge only where there is something to judge; elsewhere they are typed."""
        del parameters
        return action != "judge" or self.blind

    def action_leave(self) -> None:
        if self.blind:
            self.action_blind()
        else:
            self.dismiss(None)
