"""Models as rows of a table: what is here, what can be had. Knows words, never a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.widgets.keyed_list import KeyedList

if TYPE_CHECKING:
    from collections.abc import Sequence

Tone = Literal["plain", "good", "busy", "bad", "quiet"]
TONES: dict[Tone, str] = {
    "plain": "$foreground",
    "good": "$success",
    "busy": "$accent",
    "bad": "$error",
    "quiet": "$muted",
}
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model in words.

    Attributes:
        key: what the screen knows it by.  state: one or two words; `tone` colours them.
        quiet: whether the whole row is of little use here.
    """

    key: str
    name: str
    kind: str = ""
    size: str = ""
    memory: str = ""
    state: str = ""
    tone: Tone = "plain"
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a heading; `empty` stands for them where there are none."""

    title: str
    rows: tuple[ModelRow, ...]
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells per column; 0 leaves one out."""

    name: int
    kind: int
    size: int
    memory: int
    state: int


def columns(width: int) -> Columns:
    """What fits into `width` cells; the name gets the rest."""
    kind, memory = (8 if width >= 90 else 0), (18 if width >= 62 else 0)
    size, state = 9, 11
    used = sum(each + 1 for each in (kind, memory, size, state) if each)
    return Columns(max(8, width - used - 1), kind, size, memory, state)


class ModelTable(KeyedList):
    """Sections of rows; the highlighted one stays highlighted when they change."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._sections: tuple[Section, ...] = ()
        self._shown: list[ModelRow | str] = []
        self._width = 0

    def show(self, sections: Sequence[Section]) -> None:
        self._sections = tuple(sections)
        self._draw()

    def select(self, key: str) -> bool:
        """Highlight a row; whether there is such."""
        keys = [each.key if isinstance(each, ModelRow) else None for each in self._shown]
        if key not in keys:
            return False
        self.highlighted = keys.index(key)
        return True

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """Change the rows that differ; lay out anew only where others are there than before."""
        width = self.scrollable_content_region.width or self.size.width
        lines = _lines(self._sections)
        before, self._shown = self._shown, lines
        if width == self._width and [_key(each) for each in before] == [_key(each) for each in lines]:
            for at, (old, new) in enumerate(zip(before, lines, strict=True)):
                if old != new:
                    self.replace_option_prompt_at_index(at, _prompt(new, columns(width)))
            return
        self._width = width
        current, scrolled = self.current, self.scroll_offset.y
        options = [
            Option(_prompt(each, columns(width)), id=_key(each), disabled=isinstance(each, str))
            for each in lines
        ]
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(options)
            if current is None or not self.select(current):
                self.action_first()
        self.scroll_to(y=scrolled, animate=False)
        if self.current is not None and self.current != current:
            self.post_message(self.Looked())


def _lines(sections: Sequence[Section]) -> list[ModelRow | str]:
    lines: list[ModelRow | str] = []
    for section in sections:
        lines.append(section.title)
        lines += section.rows or ([f"  {section.empty}"] if section.empty else [])
    return lines


def _key(line: ModelRow | str) -> str | None:
    return line.key if isinstance(line, ModelRow) else None


def _prompt(line: ModelRow | str, fit: Columns) -> Content:
    if isinstance(line, str):
        style = "$muted" if line.startswith(" ") else "bold $primary"
        return Content.styled(line, style)
    base = "$muted" if line.quiet else "$foreground"
    cells = [
        Content.styled(cell(title(line.name, LONGEST_NAME), fit.name), base),
        Content.styled(cell(line.kind, fit.kind), "$muted"),
        Content.styled(cell(line.size, fit.size, right=True), base),
        Content.styled(cell(line.memory, fit.memory, right=True), "$muted"),
        Content.styled(cell(line.state, fit.state), TONES[line.tone]),
    ]
    widths = (fit.name, fit.kind, fit.size, fit.memory, fit.state)
    return Content(" ").join([each for each, width in zip(cells, widths, strict=True) if width])


class ModelHeading(Static):
    """The names of the columns, as wide as the rows below."""

    def on_resize(self) -> None:
        self.update(Content(_heading(self.content_size.width)))


def _heading(width: int) -> str:
    fit = columns(width)
    parts = [
        cell(say("app.models.column.name"), fit.name),
        cell(say("app.models.column.kind"), fit.kind),
        cell(say("app.models.column.size"), fit.size, right=True),
        cell(say("app.models.column.memory"), fit.memory, right=True),
        cell(say("app.models.column.state"), fit.state),
    ]
    return " ".join(part for part in parts if part)
