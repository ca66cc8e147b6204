"""The sampling parameters: a row for each numeric field of `SamplingParams`, made from its metadata, and one
for each list of texts. Knows values; says what was changed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Input, Label, Static

from engine.errors import InvalidParameter
from engine.types import SamplingParams
from rwkv_chat import own_words
from rwkv_chat.phrases import sentence
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

    from textual import events
    from textual.app import ComposeResult

NUMERIC = tuple(each for each in fields(SamplingParams) if each.metadata)
BUTTONS = ("preset", "everywhere", "reset")


class Entry(Input):
    """One row's value.

    Attributes:
        about: the name of what it is.
    """

    @dataclass
    class Entered(Message):
        """A value was typed (Enter, or left) or stepped to; it may not be valid."""

        entry: Entry
        text: str

    def __init__(self, about: str) -> None:
        super().__init__(compact=True, id=f"param-{about}", select_on_focus=True)
        self.about = about

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.enter()

    def on_blur(self) -> None:
        self.enter()

    def enter(self) -> None:
        """Say what stands here."""
        self.post_message(self.Entered(self, self.value))

    def read(self) -> Any:
        """Its value. Raises: InvalidParameter, ValueError."""
        raise NotImplementedError

    def refusal(self) -> str:
        """What it may be."""
        raise NotImplementedError


class NumberInput(Entry):
    """A number: the up and down keys step it."""

    def __init__(self, field: Field[Any]) -> None:
        super().__init__(field.name)
        self.field = field

    def on_key(self, event: events.Key) -> None:
        if event.key in ("up", "down"):
            event.stop()
            self._step(1 if event.key == "up" else -1)

    def _step(self, direction: int) -> None:
        low, high, step = (self.field.metadata[key] for key in ("min", "max", "step"))
        current = parse(self.field, self.value)
        stepped = (current if isinstance(current, int | float) else low) + direction * step
        self.value = shown(min(high, max(low, round(stepped, 6))))
        self.enter()

    def read(self) -> int | float | None:
        return getattr(replace(SamplingParams(), **{self.about: parse(self.field, self.value)}), self.about)

    def refusal(self) -> str:
        low, high = shown(self.field.metadata["min"]), shown(self.field.metadata["max"])
        return say("app.sampling.range", label=say(f"sampling.{self.about}.label"), low=low, high=high)


class TextsInput(Entry):
    """A few texts, parted by commas."""

    def read(self) -> tuple[str, ...]:
        if (texts := own_words.parse(self.value)) is None:
            raise ValueError(self.about)
        return texts

    def refusal(self) -> str:
        return say("app.sampling.texts", most=own_words.MOST, longest=own_words.LONGEST)


@dataclass(frozen=True, slots=True)
class PanelValues:
    """What the panel shows.

    Attributes:
        texts: by name of `own_words.LISTS`.  preset: the title of the preset that these are, "" for none.
        chat: they are one chat's own.
    """

    params: SamplingParams
    texts: Mapping[str, tuple[str, ...]]
    preset: str = ""
    chat: bool = False


class SamplingPanel(VerticalScroll):
    """Rows of values; tells each valid one that is entered."""

    can_focus = False

    @dataclass
    class Changed(Message):
        """A new value, valid: a number, None for a seed of its own, or texts."""

        name: str
        value: Any

    @dataclass
    class Asked(Message):
        """A button: "preset", "everywhere" or "reset"."""

        what: str

    def __init__(self, values: PanelValues, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.values = values

    @property
    def params(self) -> SamplingParams:
        """The numbers in force."""
        return self.values.params

    def compose(self) -> ComposeResult:
        yield Label(say("app.sampling.title"), classes="panel-title", markup=False)
        yield Button("", id="sampling-preset", compact=True)
        for each in NUMERIC:
            with Horizontal(classes="param"):
                yield Label(say(f"sampling.{each.name}.label"), markup=False)
                yield NumberInput(each)
        for name in own_words.LISTS:
            yield Label(say(f"app.sampling.{name}.label"), classes="param-texts", markup=False)
            yield TextsInput(name)
        yield Static(say("app.sampling.hint"), id="sampling-hint", markup=False)
        yield Button(say("app.sampling.everywhere"), id="sampling-everywhere", compact=True)
        yield Button(say("app.sampling.reset"), id="sampling-reset", compact=True)

    def on_mount(self) -> None:
        self.show(self.values)

    def take_focus(self) -> None:
        """Put the cursor into the first row."""
        self.query(NumberInput).first().focus()

    def show(self, values: PanelValues) -> None:
        """The values in force; what is being typed stays."""
        self.values = values
        for each in self.query(Entry):
            if not each.has_class("-invalid"):
                each.value = self._shown(each)
        button = self.query_one("#sampling-preset", Button)
        button.label = say("app.sampling.preset", name=values.preset or say("app.sampling.no_preset"))
        self.query_one("#sampling-everywhere", Button).display = values.chat

    def _shown(self, entry: Entry) -> str:
        if isinstance(entry, NumberInput):
            return shown(getattr(self.values.params, entry.about))
        return own_words.shown(self.values.texts.get(entry.about, ()))

    def on_entry_entered(self, event: Entry.Entered) -> None:
        event.stop()
        entry = event.entry
        try:
            value = entry.read()
        except (InvalidParameter, ValueError):
            entry.add_class("-invalid")
            self._hint(entry.refusal(), wrong=True)
            return
        entry.remove_class("-invalid")
        self._hint(_help(entry))
        self._take(entry, value)
        entry.value = self._shown(entry)

    def _take(self, entry: Entry, value: Any) -> None:
        values = self.values
        if isinstance(entry, NumberInput):
            new = replace(values, params=replace(values.params, **{entry.about: value}))
        else:
            new = replace(values, texts={**values.texts, entry.about: value})
        if (new.params, dict(new.texts)) != (values.params, dict(values.texts)):
            self.values = new
            self.post_message(self.Changed(entry.about, value))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, Entry):
            self._hint(_help(event.widget))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Asked((event.button.id or "").removeprefix("sampling-")))

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


def _help(entry: Entry) -> str:
    if not isinstance(entry, NumberInput):
        return say(f"app.sampling.{entry.about}.help")
    return sentence(say(f"sampling.{entry.about}.help"))
