"""The conversation: a windowed, line-drawn view. Knows entries, never sees the session.

Drawing is by line, with strips kept per row, because a tree of widgets per message costs ten times as much
(mounting, layout) as the text itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from rwkv_chat.texts import say
from rwkv_chat.tui.widgets.painter import GUTTER, MARGIN, Painter, Span
from rwkv_chat.tui.widgets.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.style import Style
    from textual import events

    from rwkv_chat.tui.prose.entry import Entry

FRAMES_PER_SECOND = 15
MAX_TEXT_WIDTH = 96
NEAR = 5  # rows from an end of what is laid out: there more is


class Transcript(ScrollView):
    """Messages from top to bottom; follows the end while the reader is there."""

    can_focus = True
    MARKS: ClassVar[tuple[str, ...]] = (
        *("user", "assistant", "note", "error"),
        *("bar-user", "bar-assistant", "bar-note", "bar-error"),
        *("name-user", "name-assistant", "name-note", "name-error"),
        *("fold", "thought", "muted", "heading", "strong", "emphasis", "struck", "code", "link"),
        *("marker", "quote", "rule", "fence", "fence-label", "code-comment", "code-string", "code-number"),
        *("code-keyword", "code-name", "code-builtin", "fence-start"),
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"transcript--{mark}" for mark in MARKS}

    @dataclass
    class CodePressed(Message):
        """A code block is to be copied: which one of its entry, 0 for the first."""

        entry: str
        number: int

    @dataclass
    class LinkPressed(Message):
        """A link of an entry was clicked."""

        entry: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.sheet = Sheet()
        self._strips: dict[int, Strip] = {}
        self._painter: Painter | None = None
        self._frame_due = False
        self._last_frame = 0.0
        self._clicked = 0  # the row of the last click

    # ---------------------------------------------------------------- what the screen calls

    def show(self, entries: Sequence[Entry]) -> None:
        """Another conversation, from its end."""
        self.screen.clear_selection()
        self.sheet.reset(entries)
        self._fill()
        self._changed(0, follow=True)

    def add(self, entry: Entry) -> None:
        """One more entry; the view goes to the end."""
        self._changed(self.sheet.add(entry), follow=True)

    def begin(self, entry: Entry) -> None:
        """A reply begins (or is taken up again with the text so far)."""
        self._changed(self.sheet.begin(entry), follow=True)

    def hint(self, text: str) -> None:
        """What stands in place of the reply until its first word comes."""
        self._changed(self.sheet.hint(text))

    def grow(self, text: str, *, thought: bool = False, seconds: float = 0.0) -> None:
        """More of the reply, thought about for so long; painted with the next frame."""
        self.sheet.grow(text, thought=thought)
        self.sheet.think(seconds)
        if not self._frame_due:
            self._frame_due = True
            wait = self._last_frame + 1 / FRAMES_PER_SECOND - monotonic()
            self.set_timer(max(wait, 0.001), self._frame)

    def finish(self, entry: Entry) -> None:
        """The reply as it was stored."""
        self._changed(self.sheet.finish(entry))

    def drop(self, entry_id: str) -> None:
        """Take an entry away again."""
        self._changed(self.sheet.drop(entry_id))

    def toggle_thoughts(self, entry_id: str | None = None) -> None:
        """Open or fold one message's thoughts, or the last that has any."""
        thoughtful = self.sheet.thoughtful()
        chosen = entry_id or (thoughtful[-1] if thoughtful else None)
        if chosen is not None:
            self._changed(self.sheet.toggle(chosen))

    def reveal(self, entry_id: str) -> None:
        """Scroll so that an entry stands at the top, as far as the end allows."""
        self.screen.clear_selection()
        if (row := self.sheet.find(entry_id)) is not None:
            self._redraw(row)

    def to_start(self) -> None:
        """To the first message."""
        self._moved(self.sheet.to_start, 0)

    def to_end(self) -> None:
        """To the last message, and to what is being written."""
        self._moved(self.sheet.to_end, None)

    def action_scroll_home(self) -> None:
        self.to_start()

    def action_scroll_end(self) -> None:
        self.to_end()

    def _moved(self, move: Callable[[], int], row: int | None) -> None:
        """The window is elsewhere, at a row of it; None for its end."""
        self.screen.clear_selection()
        move()
        self._fill()
        self._redraw(len(self.sheet.rows) if row is None else row)

    def scroll_pages(self, pages: float) -> None:
        self.scroll_to(y=self.scroll_offset.y + pages * max(1, self.size.height - 2), animate=False)

    # ---------------------------------------------------------------- layout

    @property
    def text_width(self) -> int:
        return max(10, min(MAX_TEXT_WIDTH, self.size.width - GUTTER - MARGIN))

    @property
    def follows(self) -> bool:
        """Whether the view stays at the end while that grows."""
        return self.is_vertical_scroll_end and self.sheet.at_end

    def on_resize(self) -> None:
        self._painter = None
        self.sheet.reserve = 3 * self.size.height
        if added := self._fill():
            self._redraw(self.scroll_offset.y + added)
        if self.text_width != self.sheet.width:
            self._relayout()
        else:
            self._changed(0)

    def _relayout(self) -> None:
        """The width changed: keep the row that stands at the top (or the end) in view."""
        follow = self.follows
        above = len(self.sheet.rows) - self.scroll_offset.y
        share = above / len(self.sheet.rows) if self.sheet.rows else 0
        self.screen.clear_selection()
        self._changed(self.sheet.lay_out(self.text_width), follow=follow)
        if not follow:
            rows = len(self.sheet.rows)
            self.scroll_to(y=rows - round(share * rows), animate=False)

    def _fill(self) -> int:
        """Short messages in a tall terminal: as many as it shows; how many rows came in at the top."""
        sheet, added = self.sheet, 0
        while sheet.first and len(sheet.rows) < sheet.reserve:
            added += sheet.older()
        while not sheet.at_end and len(sheet.rows) < sheet.reserve:
            sheet.newer()
        return added

    def _frame(self) -> None:
        self._frame_due, self._last_frame = False, monotonic()
        self._changed(self.sheet.settle())

    def _changed(self, row: int, *, follow: bool = False) -> None:
        """Rows from `row` on are new: forget their strips, take the new height, repaint what is in view."""
        follow = follow or self.follows
        for index in [each for each in self._strips if each >= row]:
            del self._strips[index]
        self._take_height(len(self.sheet.rows))
        if follow:
            self.scroll_to(y=self.max_scroll_y, animate=False)
        top = max(0, row - self.scroll_offset.y)
        if top < self.size.height:
            self.refresh(Region(0, top, self.size.width, self.size.height - top))

    def _take_height(self, height: int) -> None:
        """The new height without a layout of the whole screen: only the scrollbar changes."""
        size = Size(self.size.width, height)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)  # pyright: ignore[reportArgumentType]
            self._scroll_update(size)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < min(NEAR, old_value) and self.sheet.first:
            self.call_later(self._load_older)
        elif new_value > max(self.max_scroll_y - NEAR, old_value) and not self.sheet.at_end:
            self.call_later(self._load_newer)

    def _load_older(self) -> None:
        """More messages above, while the text in view stays where it is."""
        if not self.sheet.first:
            return
        self.screen.clear_selection()
        self._redraw(self.scroll_offset.y + self.sheet.older())

    def _load_newer(self) -> None:
        """More messages below, while the text in view stays where it is."""
        if self.sheet.at_end:
            return
        self.screen.clear_selection()
        self._redraw(self.scroll_offset.y - self.sheet.newer())

    def _redraw(self, top: int) -> None:
        """All rows are others; the one at the top of the view is given."""
        self._strips.clear()
        self._take_height(len(self.sheet.rows))
        self.scroll_to(y=min(top, self.max_scroll_y), animate=False)
        self.refresh()

    # ---------------------------------------------------------------- drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter = None
        self._strips.clear()

    def render_lines(self, crop: Region) -> list[Strip]:
        strips = [self.render_line(y) for y in crop.line_range]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        if self._painter is None:
            self._painter = self._new_painter()
            self._strips.clear()
        if row not in self._strips:
            self._strips[row] = self._paint(self._painter, row)
        return self._strips[row]

    def _new_painter(self) -> Painter:
        word = say("prompt.copy.word")
        return Painter(self._style_of, self.rich_style, self.size.width, self.text_width, word)

    def _style_of(self, mark: str) -> Style:
        return self.get_component_rich_style(f"transcript--{mark}", partial=True)

    def _paint(self, painter: Painter, row: int) -> Strip:
        background = self.background_colors[1]
        if row >= len(self.sheet.rows):
            plain = Strip.blank(self.size.width, painter.base)
        else:
            plain = painter.strip(self.sheet.rows[row], self._selected(row), self._selection_style())
        for each in self.get_line_filters():
            plain = plain.apply_filter(each, background)
        if row >= len(self.sheet.rows):
            return plain
        return painter.offsets(plain, self.sheet.rows[row], row)

    # ---------------------------------------------------------------- selection and mouse

    def _selection_style(self) -> Style:
        return self.screen.get_component_rich_style("screen--selection")

    def _selected(self, row: int) -> Span | None:
        selection = self.text_selection
        span = selection.get_span(row) if selection is not None else None
        return Span(*span) if span is not None else None

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002  the base's signature
        self._strips.clear()
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        rows = self.sheet.rows
        start = (selection.start.y, selection.start.x) if selection.start is not None else (0, 0)
        last = len(rows) - 1
        end = (selection.end.y, selection.end.x) if selection.end is not None else (last, 1 << 30)
        return self.sheet.copy(start, end), "\n"

    def on_click(self, event: events.Click) -> None:
        self._clicked = at = event.y + self.scroll_offset.y
        if not 0 <= at < len(self.sheet.rows) or event.chain > 1:
            return
        row = self.sheet.rows[at]
        if row.part == "fold":
            self.toggle_thoughts(row.entry)
        elif self._painter is not None and self._painter.copies(row, event.x):
            self.post_message(self.CodePressed(row.entry, self.sheet.code_number(at)))
        elif "link" in self._marks_at(at, event.style):
            self.post_message(self.LinkPressed(row.entry))

    def _marks_at(self, row: int, style: Style) -> tuple[str, ...]:
        """The marks of the run that is drawn in a style of that row."""
        column, _ = style.meta.get("offset", (-1, 0))
        at = 0
        for text, marks in self.sheet.rows[row].line.runs:
            if at == column:
                return marks
            at += len(text)
        return ()

    def text_select_all(self) -> None:
        """Two clicks select the message that was clicked, not the conversation."""
        rows = self.sheet.rows
        if not 0 <= self._clicked < len(rows):
            return
        entry = rows[self._clicked].entry
        body = [at for at, row in enumerate(rows) if row.entry == entry and row.part == "body"]
        if body:
            end = Offset(len(rows[body[-1]].line.text), body[-1])
            self.screen.selections = {self: Selection(Offset(0, body[0]), end)}
