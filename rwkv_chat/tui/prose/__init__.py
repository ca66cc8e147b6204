"""Text to lines, without Textual: Markdown that loses nothing, wrapping by cell width, a reply that grows.

    markdown_lines(text, width) -> lines      one finished message
    literal_lines(text, width)  -> lines      what a person typed: nothing is interpreted
    LiveText                                  a reply while it streams: finished blocks once, the tail anew

A line is a tuple of runs; a run is text with the names of its marks ("strong", "code" …). Which colour a mark
has is the widget's business.
"""

from __future__ import annotations

from rwkv_chat.tui.prose.line import Line, Run
from rwkv_chat.tui.prose.live import LiveText
from rwkv_chat.tui.prose.markdown import markdown_lines
from rwkv_chat.tui.prose.wrap import literal_lines

__all__ = ["Line", "LiveText", "Run", "literal_lines", "markdown_lines"]
