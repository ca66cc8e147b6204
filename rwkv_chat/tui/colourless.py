"""Letters without colours, where the environment asks for none (`NO_COLOR`)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.filter import LineFilter

if TYPE_CHECKING:
    from textual.color import Color

NOT_DIM = Style(dim=False)  # terminals draw dim letters in a grey


class Colourless(LineFilter):
    """Bold, italic, underlined and reversed letters are left. Textual's own filter leaves greys, too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002  the base's
        """The same segments, without colours."""
        return [Segment(text, style and _bare(style), control) for text, style, control in segments]


@lru_cache(4096)
def _bare(style: Style) -> Style:
    """What the mouse finds under a letter stays."""
    return style.without_color + Style.from_meta(style.meta) + NOT_DIM


COLOURLESS = Colourless()
