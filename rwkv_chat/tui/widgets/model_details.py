"""What is known of one model, how far its download is, and what can be done with it. Knows words only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from rwkv_chat.plain_text import clean, title
from rwkv_chat.tui.prose.wrap import literal_lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

FULL, EMPTY = "━", "─"
LONGEST_BAR = 60
LABEL = 12


@dataclass(frozen=True, slots=True)
class Details:
    """One model in words.

    Attributes:
        progress: 0…1 of its download, None without one.  pace: numbers beside it.
        problem: what went wrong, with what can be done.
        facts: label and value.
        actions: id and label of what can be done, the first one by Enter.
    """

    name: str
    note: str = ""
    progress: float | None = None
    pace: str = ""
    problem: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    actions: tuple[tuple[str, str], ...] = ()


class ModelDetails(VerticalScroll):
    """Beside or below the table."""

    @dataclass
    class Wanted(Message):
        """A button: id of the action."""

        action: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._details = Details("")
        self._actions: tuple[tuple[str, str], ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(id="model-name")
        yield Horizontal(id="model-actions")
        yield Static(id="model-progress")
        yield Static(id="model-problem")
        yield Static(id="model-facts")

    def show(self, details: Details) -> None:
        if details != self._details:
            self._details = details
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        details, width = self._details, max(20, self.scrollable_content_region.width)
        self._put("#model-name", _name(details))
        self._put("#model-progress", _progress(details, width))
        self._put("#model-problem", Content(clean(details.problem)))
        self._put("#model-facts", _facts(details.facts, width))
        if details.actions != self._actions:
            self._actions = details.actions
            self.call_later(self._put_buttons, details.actions)

    def _put(self, selector: str, content: Content) -> None:
        static = self.query_one(selector, Static)
        static.display = bool(content.plain)
        static.update(content)

    async def _put_buttons(self, actions: tuple[tuple[str, str], ...]) -> None:
        """The buttons of these actions; one that had the focus gives it to its successor."""
        row = self.query_one("#model-actions", Horizontal)
        focused = self.screen.focused is not None and row in self.screen.focused.ancestors
        buttons = [Button(label, name=name, compact=True) for name, label in actions]
        with self.app.batch_update():
            await row.remove_children()
            await row.mount_all(buttons)
        row.display = bool(buttons)
        if focused and buttons:
            buttons[0].focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Wanted(event.button.name or ""))


def _name(details: Details) -> Content:
    name = Content.styled(title(details.name, 200), "bold $primary")
    return name + Content.styled(f"\n{clean(details.note)}", "$muted") if details.note else name


def _progress(details: Details, width: int) -> Content:
    if details.progress is None:
        return Content(details.pace)
    share = f" {details.progress:.0%}"
    cells = min(LONGEST_BAR, width - 6)
    full = round(cells * details.progress)
    bar = Content.styled(FULL * full, "$accent") + Content.styled(EMPTY * (cells - full), "$muted")
    pace = Content.styled(f"\n{details.pace}" if details.pace else "", "$muted")
    return bar + Content(share) + pace


def _facts(facts: tuple[tuple[str, str], ...], width: int) -> Content:
    """Labels in a column, values wrapped beside them."""
    lines: list[Content] = []
    for label, value in facts:
        rows = [line.text for line in literal_lines(clean(value), width - LABEL)] or [""]
        first = " " * max(1, LABEL - cell_len(label))
        lines.append(Content.styled(label + first, "$muted") + Content(rows[0]))
        lines += [Content(" " * LABEL + row) for row in rows[1:]]
    return Content("\n").join(lines)
