"""Runs the program, and tells how much of the processor's time it took until it drew a text.

    python -m tests.first_paint OUT TEXT

Textual writes to `sys.__stderr__`. Here something stands before it that lets everything through and looks, as
long as the text was not drawn, whether it is. The seconds are in the file OUT before the text is on the
screen.
"""

from __future__ import annotations

import re
import runpy
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Watched:
    """A terminal that notes when a text is drawn."""

    def __init__(self, terminal: TextIO, out: Path, shown: str) -> None:
        self._terminal, self._out, self._shown, self._drawn = terminal, out, shown, ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._terminal, name)

    def write(self, text: str) -> int:
        if self._shown:
            self._look(text)
        return self._terminal.write(text)

    def _look(self, text: str) -> None:
        self._drawn += ESCAPES.sub("", text)
        if self._shown in self._drawn:
            self._out.write_text(str(time.process_time()))
            self._shown = self._drawn = ""


if __name__ == "__main__":
    out, shown = Path(sys.argv[1]), sys.argv[2]
    assert sys.__stderr__ is not None
    sys.__stderr__ = Watched(sys.__stderr__, out, shown)  # type: ignore[assignment]  # it need not be a TextIO
    sys.argv = ["rwkv-chat"]
    runpy.run_module("rwkv_chat", run_name="__main__", alter_sys=True)
