"""Third step of a new run: the method, how long, what it takes; the command line that does the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label, OptionList, Select, Static
from textual.widgets.option_list import Option

from engine.types.tuning import BASES, METHODS
from rwkv_chat.texts import say
from rwkv_chat.tui.tune_details import command_line, method_name, minutes, plan_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from rwkv_chat.session.tune_types import Plan, PresetName

CHOSEN, OTHER = "(x) ", "( ) "
TRAINED = ("fp32", "bf16")  # what weights can be kept in that are trained themselves


class PlanPane(Vertical):
    """Methods and presets to choose from, and the plan of the chosen ones.

    Attributes:
        presets: all of them, the quickest first.
        usual_name: of the run, where none is typed.
        base: what the model's weights are kept in, "" for what is usual on the device.
    """

    presets: tuple[PresetName, ...] = ("quick", "good", "long")

    @dataclass
    class WayChosen(Message):
        """Another method, or weights kept in something else ("" for the usual): its plans are to be made."""

        method: str
        base: str

    @dataclass
    class Named(Message):
        """Another name was typed: it stands in the command line."""

    def __init__(self, *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.method: str = METHODS[0]
        self.base = ""
        self.preset = self.presets[0]
        self.usual_name = ""
        self._plans: dict[str, Plan] = {}
        self._failed = False

    def compose(self) -> ComposeResult:
        yield OptionList(id="ways", compact=True)
        with Horizontal(id="name-row"):
            yield Label(say("tune_screen.plan.name"), markup=False)
            yield Input(id="tune-name", compact=True)
            yield Label(say("tune_screen.plan.base"), id="base-label", markup=False)
            usual = say("tune_screen.plan.base_usual")
            yield Select(self._bases(), prompt=usual, id="base", compact=True)
        yield Static(id="plan-facts", markup=False)
        yield Static(id="plan-command", markup=False)

    def on_mount(self) -> None:
        self._draw()

    def take_focus(self) -> None:
        self.query_one("#ways", OptionList).focus()

    @property
    def plan(self) -> Plan | None:
        """Of the chosen preset, once it is made."""
        return self._plans.get(self.preset)

    @property
    def name_typed(self) -> str:
        return self.query_one("#tune-name", Input).value.strip()

    @property
    def waiting(self) -> str:
        """Why there is no plan."""
        return say("tune_screen.new.no_plan" if self._failed else "tune_screen.new.planning")

    def clear(self, *, failed: bool = False) -> None:
        """`failed`: what is chosen cannot be planned."""
        self._plans, self._failed = {}, failed
        self._draw()

    def show(self, plans: Sequence[Plan], usual_name: str) -> None:
        """`usual_name`: where none is typed."""
        self._plans = {each.preset: each for each in plans}
        self.usual_name = usual_name
        self.query_one("#tune-name", Input).placeholder = usual_name
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Named())

    # ---------------------------------------------------------------- choosing

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        kind, _, name = (event.option_id or "").partition(":")
        if kind == "method" and name != self.method:
            self._take(name)
        elif kind == "preset":
            self.preset = next(each for each in self.presets if each == name)
        self._draw()

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        base = event.value if isinstance(event.value, str) else ""
        if base != self.base:
            self.base = base
            self.post_message(self.WayChosen(self.method, base))

    def _take(self, method: str) -> None:
        """What its weights can be kept in may differ: then the usual is chosen again."""
        before, self.method = self._bases(), method
        if self._bases() != before:
            self.base = ""
            self.query_one("#base", Select).set_options(self._bases())
        self.post_message(self.WayChosen(method, self.base))

    def _bases(self) -> list[tuple[str, str]]:
        return [(each, each) for each in (TRAINED if self.method == "full" else BASES)]

    def _draw(self) -> None:
        rows = self.query_one("#ways", OptionList)
        at = rows.highlighted
        rows.set_options(self._options())
        rows.highlighted = at
        if at is None:
            rows.action_first()
        plan = self.plan
        facts = plan_lines(plan) if plan is not None else Content(self.waiting)
        self.query_one("#plan-facts", Static).update(facts)
        self.query_one("#plan-command", Static).update(command_line(plan.command if plan else ""))

    def _options(self) -> list[Option]:
        methods = [
            _option(
                f"method:{each}",
                method_name(each),
                say(f"tune_screen.method_help.{each}"),
                each == self.method,
            )
            for each in METHODS
        ]
        presets = [
            _option(f"preset:{each}", *self._preset(each), each == self.preset) for each in self.presets
        ]
        return [
            _heading(say("tune_screen.plan.method")),
            *methods,
            _heading(say("tune_screen.plan.preset")),
            *presets,
        ]

    def _preset(self, name: PresetName) -> tuple[str, str]:
        plan = self._plans.get(name)
        told = minutes(plan.minutes) if plan is not None else "…"
        return say(f"tune_screen.preset.{name}"), told


def _heading(text: str) -> Option:
    return Option(Content.styled(text, "bold $primary"), disabled=True)


def _option(id_: str, text: str, more: str, chosen: bool) -> Option:
    shown = Content((CHOSEN if chosen else OTHER) + text)
    return Option(shown + Content.styled(f"  {more}", "$muted"), id=id_)
