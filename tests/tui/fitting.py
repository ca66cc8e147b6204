"""What of a screen is cut: words without room, parts outside the window, words that end in an ellipsis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Static

if TYPE_CHECKING:
    from textual.screen import Screen

CUT = re.compile(r"[^\s…]…")  # our own texts have a space before it
WRITTEN = "Static, Button, Input, Checkbox"
DATA = {"settings-file", "welcome-folder", "tune-name"}  # paths and names, as long as they are


def cut(screen: Screen[Any]) -> list[str]:
    """Of what is shown, what has less room than its words need."""
    shown = [each for each in screen.query(WRITTEN) if each.display and each.region and each.id not in DATA]
    return [f"{each!r}: {words}" for each in shown if (words := _said(each)) and not _fits(each, words)]


def outside(screen: Screen[Any]) -> list[str]:
    """Of what is shown, what stands outside of its box or of the window; in one that scrolls, at a side."""
    return [
        f"{each!r}: {region} in {clip}"
        for each in screen.query(f"{WRITTEN}, OptionList, Select, TextArea")
        if each.display and each.is_attached and (found := _place(screen, each)) is not None
        for region, clip in [found]
        if not (clip.x <= region.x and region.right <= clip.right)
        or not (_scrolls(each) or (clip.y <= region.y and region.bottom <= clip.bottom))
    ]


def ended(screen: Screen[Any]) -> list[str]:
    """Lines on which a word ends in an ellipsis."""
    strips = screen._compositor.render_strips()
    return [line for each in strips if CUT.search(line := "".join(segment.text for segment in each))]


def _place(screen: Screen[Any], widget: Widget) -> Any:
    if any(not each.display for each in widget.ancestors_with_self if isinstance(each, Widget)):
        return None
    found = screen.find_widget(widget)
    return (found.region, found.clip) if found.region else None


def _scrolls(widget: Widget) -> bool:
    """Whether a box around it, other than the screen, can be scrolled to it."""
    around = [each for each in widget.ancestors if isinstance(each, Widget) and each is not widget.screen]
    return any(each.styles.overflow_y in ("auto", "scroll") for each in around)


def _said(widget: Widget) -> str:
    if isinstance(widget, Input):
        return widget.placeholder
    if isinstance(widget, Button | Checkbox):
        return str(widget.label)
    return str(widget.render()) if isinstance(widget, Static) else ""


def _fits(widget: Widget, words: str) -> bool:
    """In the lines that it has; words that are not to be wrapped, in the width that it has."""
    width, height = widget.content_size
    wrapped = isinstance(widget, Static) and widget.styles.text_wrap == "wrap"
    lines = Content(words).wrap(width) if wrapped and width else [Content(each) for each in words.split("\n")]
    room = height if not widget.is_scrollable else len(lines)
    return len(lines) <= room and all(each.cell_length <= width for each in lines)
