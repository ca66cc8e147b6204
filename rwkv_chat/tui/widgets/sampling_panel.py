"""The sampling parameters: one row per numeric field of `SamplingParams`, made from its metadata."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Input, Label, Static

from engine.errors import InvalidParameter
from engine.types import SamplingParams
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from dataclasses import Field

    from textual import events
    from textual.app import ComposeResult

NUMERIC = tuple(each for each in fields(SamplingParams) if each.metadata)


class NumberInput(Input):
    """A number: the up and down keys step it."""

    @dataclass
    class Entered(Message):
        """A value was typed (Enter, or left) or stepped to; it may not be valid."""

        name: str
        text: str

    def __init__(self, field: Field[Any]) -> None:
        super().__init__(compact=True, id=f"param-{field.name}", select_on_focus=True)
        self.field = field

    def on_key(self, event: events.Key) -> None:
        if event.key in ("up", "down"):
            event.stop()
            self._step(1 if event.key == "up" else -1)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._enter()

    def on_blur(self) -> None:
        self._enter()

    def _step(self, direction: int) -> None:
        low, high, step = (self.field.metadata[key] for key in ("min", "max", "step"))
        current = parse(self.field, self.value)
        stepped = (current if isinstance(current, int | float) else low) + direction * step
        self.value = shown(min(high, max(low, round(stepped, 6))))
        self._enter()

    def _enter(self) -> None:
        self.post_message(self.Entered(self.field.name, self.value))


class SamplingPanel(VerticalScroll):
    """Rows of numbers; posts the parameters whenever a valid value is entered."""

    can_focus = False

    @dataclass
    class Changed(Message):
        """New parameters, valid."""

        params: SamplingParams

    @dataclass
    class ResetAsked(Message):
        """The person wants the model's own values back."""

    def __init__(self, params: SamplingParams, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.params = params

    def compose(self) -> ComposeResult:
        yield Label(say("app.sampling.title"), classes="panel-title", markup=False)
        for each in NUMERIC:
            with Horizontal(classes="param"):
                yield Label(say(f"sampling.{each.name}.label"), markup=False)
                yield NumberInput(each)
        yield Static(say("app.sampling.hint"), id="sampling-hint", markup=False)
        yield Button(say("app.sampling.reset"), id="sampling-reset", compact=True)

    def on_mount(self) -> None:
        self.show(self.params)

    def take_focus(self) -> None:
        """Put the cursor into the first row."""
        self.query(NumberInput).first().focus()

    def show(self, params: SamplingParams) -> None:
        """The values in force."""
        self.params = params
        for each in NUMERIC:
            box = self.query_one(f"#param-{each.name}", NumberInput)
            box.value = shown(getattr(params, each.name))

    def on_number_input_entered(self, event: NumberInput.Entered) -> None:
        event.stop()
        field = next(each for each in NUMERIC if each.name == event.name)
        box = self.query_one(f"#param-{field.name}", NumberInput)
        try:
            params = replace(self.params, **{field.name: parse(field, event.text)})
        except InvalidParameter:
            box.add_class("-invalid")
            self._hint(_range_sentence(field), wrong=True)
            return
        box.remove_class("-invalid")
        box.value = shown(getattr(params, field.name))
        self._hint(_help(field))
        if params != self.params:
            self.params = params
            self.post_message(self.Changed(params))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, NumberInput):
            self._hint(_help(event.widget.field))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.ResetAsked())

    def _hint(self, text: str, *, wrong: bool = False) -> None:
        hint = self.query_one("#sampling-hint", Static)
        hint.set_class(wrong, "-wrong")
        hint.update(text)


def parse(field: Field[Any], text: str) -> int | float | str | None:
    """The number in a text; the text itself where there is none (validation will refuse it)."""
    text = text.strip().replace(",", ".")
    if not text and field.default is None:
        return None
    whole = isinstance(field.default, int) or field.default is None
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return text


def shown(value: float | None) -> str:
    """A value as typed: no trailing zeros, empty for None."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")


def _help(field: Field[Any]) -> str:
    text = say(f"sampling.{field.name}.help")
    return f"{text[0].upper()}{text[1:]}."


def _range_sentence(field: Field[Any]) -> str:
    low, high = shown(field.metadata["min"]), shown(field.metadata["max"])
    return say("app.sampling.range", label=say(f"sampling.{field.name}.label"), low=low, high=high)
