"""Settings as rows under titles: what it is at the left, what it stands at beside it. Knows words only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.widgets.keyed_list import KeyedList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType


def _key(binding: BindingType) -> str:
    return binding.key if isinstance(binding, Binding) else binding[0]


CHANGED, PLAIN = "* ", "  "
LABEL = 30  # cells, at most


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line.

    Attributes:
        key: "set.<name>" or "key.<binding id>".  changed: it is not the default.
        help: one sentence.  note: what it can be, and its default.
    """

    key: str
    label: str
    value: str
    changed: bool
    help: str
    note: str


@dataclass(frozen=True, slots=True)
class SettingSection:
    """Rows under a title."""

    title: str
    rows: tuple[SettingRow, ...]


class SettingList(KeyedList, inherit_bindings=False):
    """The highlighted row stays highlighted when others are shown. Enter, left and right are the screen's."""

    BINDINGS: ClassVar[list[BindingType]] = [each for each in OptionList.BINDINGS if _key(each) != "enter"]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._sections: tuple[SettingSection, ...] = ()

    def show(self, sections: Sequence[SettingSection], select: str | None = None) -> None:
        wanted, self._sections = select or self.current, tuple(sections)
        self._draw(wanted)

    def on_resize(self) -> None:
        self._draw(self.current)

    def _draw(self, wanted: str | None) -> None:
        width = self.scrollable_content_region.width or self.size.width
        scrolled = self.scroll_offset.y
        options = [each for section in self._sections for each in _options(section, width)]
        keys = [each.id for each in options]
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(options)
            if wanted is not None and wanted in keys:
                self.highlighted = keys.index(wanted)
            else:
                self.action_first()
        self.scroll_to(y=scrolled, animate=False)
        if self.highlighted is not None:
            self.scroll_to_highlight()
        self.post_message(self.Looked())


def _options(section: SettingSection, width: int) -> list[Option]:
    heading = Option(Content.styled(section.title, "bold $primary"), disabled=True)
    return [heading, *(Option(_prompt(row, width), id=row.key) for row in section.rows)]


def _prompt(row: SettingRow, width: int) -> Content:
    label = min(LABEL, max(8, width // 2))
    mark = Content.styled(CHANGED if row.changed else PLAIN, "bold $accent")
    name = Content.styled(cell(row.label, label), "$foreground")
    value = cell(row.value, max(4, width - label - 4))
    return mark + name + Content("  ") + Content.styled(value, "bold $accent" if row.changed else "$muted")
