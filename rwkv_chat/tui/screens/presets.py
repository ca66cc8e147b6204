"""Sampling presets: one is chosen, one of one's own is kept or deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.keys import textual_bindings

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from rwkv_chat.presets import Preset

SAVE = "save:"
TITLE_CELLS = 18


@dataclass(frozen=True, slots=True)
class Picked:
    """What is wanted: to use a preset, to delete it, or to keep the values in force (None) as a new one."""

    what: Literal["use", "delete", "save"]
    preset: Preset | None = None


class PresetsDialog(ModalScreen[Picked | None]):
    """Enter or a click chooses; Delete removes one of one's own; Esc leaves."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*textual_bindings("dialog"), *textual_bindings("presets")]
    AUTO_FOCUS = "#presets"

    def __init__(self, presets: tuple[Preset, ...]) -> None:
        super().__init__()
        self.presets = presets

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(say("app.presets.title"), markup=False, classes="dialog-question")
            yield OptionList(*self._options(), id="presets", compact=True)
            yield Label(say("app.presets.hint"), markup=False, classes="dialog-hint")

    def _options(self) -> list[Option]:
        rows = [Option(_line(each), id=f"{number}") for number, each in enumerate(self.presets)]
        return [*rows, Option(Content(say("app.presets.save")), id=SAVE)]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(
            Picked("save") if event.option_id == SAVE else Picked("use", self.presets[event.option_index])
        )

    def action_remove(self) -> None:
        at = self.query_one("#presets", OptionList).highlighted
        if at is None or at >= len(self.presets):
            return
        if self.presets[at].own:
            self.dismiss(Picked("delete", self.presets[at]))
        else:
            self.notify(say("app.presets.shipped"), markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)


def _line(preset: Preset) -> Content:
    """Its title, and the values that tell it from others."""
    params = preset.params
    values = say("app.presets.values", temperature=f"{params.temperature:g}", top_p=f"{params.top_p:g}")
    own = f"  {say('app.presets.own')}" if preset.own else ""
    return Content(cell(title(preset.title), TITLE_CELLS)) + Content.styled(f"  {values}{own}", "$muted")
