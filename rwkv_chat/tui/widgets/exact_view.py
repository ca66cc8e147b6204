"""The exact prompt, drawn by line: as text, or one token a row. Knows tokens and bytes, posts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rwkv_chat.texts import say
from rwkv_chat.tui.cells import cell
from rwkv_chat.tui.prose.exact import MARKS, TOKEN_MARKS, ExactRow, exact_rows, token_text

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from rich.style import Style

View = Literal["text", "tokens"]
MARGIN = 2
PIECE_CELLS = 20
LONGEST_PIECE = 64  # bytes of a token that a row shows in hexadecimal


class ExactView(ScrollView):
    """Scrolls over any number of tokens; only rows in view are made into strips."""

    can_focus = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "exact--fed",
        "exact--new",
        "exact--mark",
        "exact--number",
        "exact--border",
    }

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.view: View = "text"
        self._tokens: Sequence[int] = ()
        self._pieces: Sequence[bytes] = ()
        self._new_from = 0
        self._rows: list[ExactRow] = []

    def show(self, tokens: Sequence[int], pieces: Sequence[bytes], new_from: int) -> None:
        """Another prompt, from its end, where the new tokens stand."""
        self._tokens, self._pieces, self._new_from = tokens, pieces, new_from
        self._lay_out()
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def show_as(self, view: View) -> None:
        self.view = view
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    @property
    def row_count(self) -> int:
        return len(self._rows) if self.view == "text" else len(self._tokens)

    def _lay_out(self) -> None:
        width = max(10, self.size.width - 2 * MARGIN)
        if self.view == "text":
            self._rows = exact_rows(self._tokens, self._pieces, self._new_from, width)
        self.virtual_size = Size(self.size.width, self.row_count)
        self.refresh()

    # ---------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        if row >= self.row_count:
            return Strip.blank(self.size.width, self.rich_style)
        segments = self._text_row(row) if self.view == "text" else self._token_row(row)
        left = Segment(" " * MARGIN, self.rich_style)
        return Strip([left, *segments]).adjust_cell_length(self.size.width, self.rich_style)

    def _text_row(self, row: int) -> list[Segment]:
        found = self._rows[row]
        if found.text is None:
            return [Segment(self._border(), self._style("border"))]
        return self._marked(found.text, self._style("fed" if found.fed else "new"))

    def _border(self) -> str:
        return f"── {say('app.exact.new')} ".ljust(self.size.width - 2 * MARGIN, "─")

    def _token_row(self, row: int) -> list[Segment]:
        token, piece = self._tokens[row], self._pieces[row]
        new = row >= self._new_from
        number = Segment(f"{row:>7,} {'+' if new else ' '} {token:>6}  ", self._style("number"))
        shown = cell(token_text(token, piece), PIECE_CELLS)
        text = self._marked(shown, self._style("new" if new else "fed"), TOKEN_MARKS)
        more = " …" if len(piece) > LONGEST_PIECE else ""
        hexes = Segment(f"  {piece[:LONGEST_PIECE].hex(' ')}{more}", self._style("number"))
        return [number, *text, hexes]

    def _marked(self, text: str, style: Style, marks: re.Pattern[str] = MARKS) -> list[Segment]:
        """The text, with what stands for something invisible in another colour."""
        mark = style + self._style("mark")
        segments: list[Segment] = []
        at = 0
        for found in marks.finditer(text):
            segments += [Segment(text[at : found.start()], style), Segment(found[0], mark)]
            at = found.end()
        return [*segments, Segment(text[at:], style)]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"exact--{name}")
