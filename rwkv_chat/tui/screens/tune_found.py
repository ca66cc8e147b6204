"""Second step of a new run: what was found, three examples with their mask, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Checkbox, Input, Label, Select, Static

from rwkv_chat import templates
from rwkv_chat.importers.redaction import SECRETS
from rwkv_chat.session.examples_types import AGREED, Selection
from rwkv_chat.texts import say
from rwkv_chat.tui.tune_details import example_heading, example_text, found_lines, redaction_lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from rwkv_chat.session.examples_types import Found

MINUTE = 60
SHOWN_REDACTIONS = 5
FIELDS = ("gap", "languages", "blocklist")


class Tick(Checkbox):
    """Tells what it is without a colour, too."""

    @property
    def BUTTON_INNER(self) -> str:  # noqa: N802  # pyright: ignore[reportIncompatibleVariableOverride]  Textual's
        return "X" if self.value else " "


class FoundPane(Horizontal):
    """What was found stands beside the fields that change it.

    Attributes:
        stale: a field was changed after the last look.
        word: what has to be typed where other people's messages are in it.
    """

    word = AGREED

    def __init__(self, *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.stale = False
        self._seen: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="found-text"):
            yield Static(id="found-facts", markup=False)
            yield Static(id="found-examples", markup=False)
        with VerticalScroll(id="found-options", can_focus=False):
            yield Static(say("tune_screen.found.options"), classes="heading", markup=False)
            with Horizontal(id="ticks"):
                yield Tick(say("tune_screen.found.redact"), value=True, id="redact", compact=True)
                yield Tick(say("tune_screen.found.aliases"), value=True, id="aliases", compact=True)
                yield Tick(say("tune_screen.found.media"), id="media", compact=True)
            yield from self._field("gap", f"{Selection().gap / MINUTE:g}")
            yield from self._field("languages")
            yield from self._field("blocklist")
            with Horizontal(classes="option-row"):
                yield Label(say("tune_screen.found.template"), markup=False)
                known = [(each, each) for each in templates.names()]
                own = say("tune_screen.found.template_own")
                yield Select(known, prompt=own, id="template", compact=True)
            yield Button(say("tune_screen.found.again"), id="look-again", compact=True)
            with Vertical(id="consent-box"):
                yield Static(say("tune_screen.found.consent", word=AGREED), id="consent-text", markup=False)
                yield Input(placeholder=AGREED, id="consent", compact=True)

    def _field(self, name: str, value: str = "") -> ComposeResult:
        with Horizontal(classes="option-row"):
            yield Label(say(f"tune_screen.found.{name}"), markup=False)
            yield Input(value, placeholder=say(f"tune_screen.found.{name}_hint"), id=name, compact=True)

    def take_focus(self) -> None:
        self.query_one("#found-text").focus()

    # ---------------------------------------------------------------- what is shown

    def show(self, found: Found) -> None:
        self.stale, self._seen = False, self._values()
        facts = found_lines(found)
        if found.redactions:
            facts = Content("\n").join([facts, redaction_lines(found, SHOWN_REDACTIONS)])
        self.query_one("#found-facts", Static).update(facts)
        lines = []
        for number, each in enumerate(found.examples, 1):
            heading = example_heading(each, number, len(found.examples))
            lines += [Content(""), Content.styled(heading, "bold $primary"), example_text(each)]
        lines.append(Content.styled(say("tune_screen.found.mask"), "$muted"))
        self.query_one("#found-examples", Static).update(Content("\n").join(lines))
        self.query_one("#consent-box").display = found.needs_consent
        self.query_one("#found-text", VerticalScroll).scroll_home(animate=False)

    @property
    def agreed(self) -> bool:
        return self.query_one("#consent", Input).value.strip().casefold() == AGREED

    def ask_consent(self) -> None:
        self.query_one("#consent", Input).focus()

    # ---------------------------------------------------------------- the fields

    def applied(self, selection: Selection) -> Selection:
        """A selection with what the fields say. Raises: ValueError: the name of a field that says nothing."""
        try:
            gap = float(self._typed("gap").replace(",", ".")) * MINUTE
        except ValueError:
            raise ValueError(say("tune_screen.found.gap")) from None
        if not gap > 0:
            raise ValueError(say("tune_screen.found.gap"))
        filters = replace(
            selection.filters,
            languages=tuple(self._typed("languages").replace(",", " ").lower().split()),
            blocklist=tuple(each.strip() for each in self._typed("blocklist").split(",") if each.strip()),
            media="word" if self.query_one("#media", Checkbox).value else "drop",
        )
        return replace(
            selection,
            gap=gap,
            filters=filters,
            redact=SECRETS if self.query_one("#redact", Checkbox).value else (),
            aliases=self.query_one("#aliases", Checkbox).value,
            template=self._template(),
            consent=AGREED if self.agreed else "",
        )

    def _typed(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _template(self) -> str:
        """ "" for the model's own."""
        chosen = self.query_one("#template", Select).value
        return chosen if isinstance(chosen, str) else ""

    def _values(self) -> tuple[object, ...]:
        ticked = [self.query_one(f"#{each}", Checkbox).value for each in ("redact", "aliases", "media")]
        return (*ticked, *map(self._typed, FIELDS), self._template())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.stale = self._values() != self._seen

    def on_checkbox_changed(self, event: Checkbox.Changed) -> None:
        event.stop()
        self.stale = self._values() != self._seen

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        self.stale = self._values() != self._seen

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.app.call_later(self.screen.run_action, "look")
