"""Run a command in a real pseudo-terminal and drain what it draws (headless mode does not draw)."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
TERM = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
ENDING = 60.0


def run_in_pty(
    args: list[str],
    *,
    size: tuple[int, int] = (120, 40),
    seconds: float = 120,
    env: dict[str, str],
    close_after: bytes | None = None,
) -> tuple[bytes, int]:
    """Output and exit code of `python ARGS` in a terminal of columns × rows.

    Args:
        close_after: the terminal is closed once this was drawn, as when its window is shut.

    Raises:
        TimeoutError: it was still running after `seconds` (and was killed).
    """
    pid, fd = pty.fork()
    if pid == 0:  # the child
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, *args], os.environ | env)  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    deadline = time.monotonic() + seconds
    try:
        drawn = _drain(fd, deadline, close_after)
    finally:
        os.close(fd)
        status = _ended(pid, deadline)
    return drawn, os.waitstatus_to_exitcode(status)


def _drain(fd: int, deadline: float, close_after: bytes | None) -> bytes:
    """What is drawn until the child closes the terminal, or has drawn `close_after`, or time is up."""
    drawn = bytearray()
    while time.monotonic() < deadline and (close_after is None or close_after not in drawn):
        if not select.select([fd], [], [], 0.5)[0]:
            continue
        try:
            data = os.read(fd, 1 << 16)
        except OSError:  # the child has closed the terminal
            break
        if not data:
            break
        drawn += data
    return bytes(drawn)


def _ended(pid: int, deadline: float) -> int:
    """The child's wait status; one that is still there at the deadline is killed."""
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(pid)


class Terminal:
    """`python ARGS` in a terminal that is watched, and typed into, while it runs; ended when it is left.

    Attributes:
        drawn: what was drawn so far, without escape sequences.
    """

    def __init__(
        self,
        args: list[str],
        *,
        env: dict[str, str],
        size: tuple[int, int] = (120, 40),
        end: int = signal.SIGTERM,
    ) -> None:
        self.drawn, self._end = "", end
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child
            os.chdir(ROOT)
            os.execve(sys.executable, [sys.executable, *args], os.environ | TERM | env)  # noqa: S606
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, self._end)
        deadline = time.monotonic() + ENDING
        _drain(self._fd, deadline, None)
        os.close(self._fd)
        _ended(self.pid, deadline)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def wait_for(self, *texts: str, seconds: float = 120) -> None:
        """Until each of the texts was drawn, whatever else was. Raises: TimeoutError."""
        deadline = time.monotonic() + seconds
        while not all(each in self.drawn for each in texts):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{texts} not in {self.drawn[-2000:]!r}")
            if select.select([self._fd], [], [], 0.1)[0]:
                data = os.read(self._fd, 1 << 16).decode(errors="replace")
                self.drawn += ESCAPES.sub("", data)
