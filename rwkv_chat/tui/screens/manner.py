"""How one conversation is spoken: its think mode, its template, whether thoughts are remembered, and with
which tuned state or adapter.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.choices import Choices
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult

CHOSEN, OTHER = "(x) ", "( ) "
TICKED, EMPTY = "[x] ", "[ ] "


@dataclass(frozen=True, slots=True)
class Way:
    """A template that may be chosen: its title, and the names of its think modes."""

    title: str
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ways:
    """What there is to choose from.

    Attributes:
        templates: by name.  own: the name of the model's own template.
        usual: name of the think mode in force where none is chosen.
        voices: names of what the conversation may speak with beside the model alone, by id.
    """

    templates: Mapping[str, Way]
    own: str
    usual: str = ""
    voices: Mapping[str, str] = field(default_factory=dict)


class MannerDialog(ModalScreen[Choices]):
    """Enter or a click chooses; Esc gives what was chosen."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = textual_bindings("manner")
    AUTO_FOCUS = "#manner"

    def __init__(self, ways: Ways, choices: Choices) -> None:
        super().__init__()
        self.ways, self.choices = ways, choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(say("app.manner.title"), markup=False, classes="dialog-question")
            yield OptionList(id="manner", compact=True)
            yield Label(say("app.manner.hint"), markup=False, classes="dialog-hint")

    def on_mount(self) -> None:
        self._draw()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        kind, _, name = (event.option_id or "").partition(":")
        match kind:
            case "mode":
                self.choices = replace(self.choices, mode=name)
            case "template":
                self.choices = self._with_template(name)
            case "voice":
                self.choices = replace(self.choices, voice=name)
            case "keep":
                self.choices = replace(self.choices, keep_reasoning=not self.choices.keep_reasoning)
        self._draw()

    def _with_template(self, name: str) -> Choices:
        """A mode that the new template does not have is left to the model."""
        mode = self.choices.mode
        known = mode in self.ways.templates[name or self.ways.own].modes
        return replace(self.choices, template=name, mode=mode if known else "")

    def _draw(self) -> None:
        rows = self.query_one("#manner", OptionList)
        at = rows.highlighted
        rows.set_options(self._options())
        rows.highlighted = at
        if at is None:
            rows.action_first()

    def _options(self) -> list[Option]:
        return [*self._modes(), *self._memory(), *self._voices(), *self._templates()]

    def _modes(self) -> list[Option]:
        modes = self.ways.templates[self.choices.template or self.ways.own].modes
        heading = _heading("app.manner.thinking")
        if len(modes) < 2:
            return [heading, Option(Content.styled(say("app.manner.no_modes"), "$muted"), disabled=True)]
        usual = say("app.manner.usual_is", mode=mode_name(self.ways.usual)) if self.ways.usual else ""
        first = _choice("mode:", say("app.manner.usual"), usual, chosen=not self.choices.mode)
        others = [
            _choice(f"mode:{name}", mode_name(name), _mode_help(name), chosen=self.choices.mode == name)
            for name in modes
        ]
        return [heading, first, *others]

    def _memory(self) -> list[Option]:
        mark = TICKED if self.choices.keep_reasoning else EMPTY
        row = Option(Content(mark + say("app.manner.keep")), id="keep")
        return [_heading("app.manner.memory"), row]

    def _voices(self) -> list[Option]:
        if not self.ways.voices:
            return []
        alone = _choice("voice:", say("app.manner.alone"), "", chosen=not self.choices.voice)
        others = [
            _choice(f"voice:{id_}", title(name), "", chosen=self.choices.voice == id_)
            for id_, name in self.ways.voices.items()
        ]
        return [_heading("app.manner.voice"), alone, *others]

    def _templates(self) -> list[Option]:
        own = self.ways.templates[self.ways.own].title
        first = _choice("template:", say("app.manner.own"), title(own), chosen=not self.choices.template)
        others = [
            _choice(f"template:{name}", title(way.title), "", chosen=self.choices.template == name)
            for name, way in self.ways.templates.items()
        ]
        return [_heading("app.manner.template"), first, *others]

    def action_choose(self) -> None:
        self.query_one("#manner", OptionList).action_select()

    def action_leave(self) -> None:
        self.dismiss(self.choices)


def _heading(name: str) -> Option:
    return Option(Content.styled(say(name), "bold $primary"), disabled=True)


def _choice(option: str, text: str, more: str, *, chosen: bool) -> Option:
    shown = Content((CHOSEN if chosen else OTHER) + text)
    return Option(shown + Content.styled(f"  {more}", "$muted") if more else shown, id=option)


def mode_name(name: str) -> str:
    """A think mode for people; a name that we have no word for stays as it is."""
    known = {
        "none": say("app.manner.mode.none"),
        "fast": say("app.manner.mode.fast"),
        "free": say("app.manner.mode.free"),
        "bit": say("app.manner.mode.bit"),
        "lot": say("app.manner.mode.lot"),
    }
    return known.get(name, title(name))


def _mode_help(name: str) -> str:
    known = {
        "none": say("app.manner.help.none"),
        "fast": say("app.manner.help.fast"),
        "free": say("app.manner.help.free"),
        "bit": say("app.manner.help.bit"),
        "lot": say("app.manner.help.lot"),
    }
    return known.get(name, "")
