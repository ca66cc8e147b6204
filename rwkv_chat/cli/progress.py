"""How far a long task is: one line on stderr that is drawn over itself, on a terminal only."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rwkv_chat.amounts import duration, speed
from rwkv_chat.explain import size
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from typing import Self

REDRAW_SECONDS = 0.1
COUNTED = {"golden", "tokens"}  # in tokens; all others in bytes
SETTLE_SECONDS = 1.0  # a speed over less than this says nothing


class StatusLine:
    """Use it as a context manager: whatever happens, the line is gone at the end."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Make room for another line."""
        if self._drawn:
            self._write("")
            self._drawn = 0.0

    def draw(self, text: str) -> None:
        """In place of the line before."""
        if self._shown:
            self._drawn = time.monotonic()
            self._write(clean(text))

    def _write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        with suppress(OSError, ValueError):
            sys.stderr.write("\r\x1b[K" + text[: width - 1])
            sys.stderr.flush()


class ProgressLine(StatusLine):
    """How far a task is, its name before it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = clean(name)
        self._task = ""
        self._began = (0.0, 0)

    def show(self, task: str, done: int, total: int) -> None:
        """`done` of `total` of a task of `models.task`."""
        now = time.monotonic()
        if task != self._task:
            self._task, self._began = task, (now, done)
        if self._shown and (now - self._drawn >= REDRAW_SECONDS or done == total):
            self._drawn = now
            self._write(self._line(now, done, total))

    def _line(self, now: float, done: int, total: int) -> str:
        share = f"{done / total:.0%}" if total else "…"
        words = say(f"models.task.{self._task}")
        if self._task in COUNTED:
            return say("models.counted", name=self._name, task=words, done=done, total=total)
        sizes = {"done": size(done), "total": size(total)}
        line = say("models.progress", name=self._name, task=words, share=share, **sizes)
        return line + self._speed(now, done, total)

    def _speed(self, now: float, done: int, total: int) -> str:
        """Bytes a second since the task began, and the time that is left at that speed."""
        seconds, nbytes = now - self._began[0], done - self._began[1]
        if seconds < SETTLE_SECONDS or nbytes <= 0:
            return ""
        rate = nbytes / seconds
        return say("models.speed", speed=speed(rate), left=duration((total - done) / rate))
