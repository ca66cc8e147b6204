"""Run a command in a real pseudo-terminal and drain what it draws (headless mode does not draw)."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_in_pty(
    args: list[str],
    *,
    size: tuple[int, int] = (120, 40),
    seconds: float = 60,
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
    drawn = b""
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
    return drawn


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
