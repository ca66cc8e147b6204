"""The terminal's file, which may vanish: its window is shut, its connection breaks.

Textual's writer thread dies at the first failed write, and the next writes then wait for it for ever. Through
this file the writes succeed, the app is told once, and it leaves in order.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class VanishingFile:
    """As much of a text file as a driver uses; `on_gone` is called once, on the writing thread."""

    def __init__(self, file: IO[str], on_gone: Callable[[], object]) -> None:
        self._file, self._on_gone = file, on_gone
        self.gone = False

    def write(self, text: str) -> int:
        if not self.gone:
            try:
                return self._file.write(text)
            except (OSError, ValueError):
                self._vanished()
        return len(text)

    def flush(self) -> None:
        if not self.gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self._vanished()

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()

    def _vanished(self) -> None:
        self.gone = True
        self._on_gone()
