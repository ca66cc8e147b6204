"""Run a command in a real pseudo-terminal and drain what it draws (headless mode does not draw)."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_in_pty(
    args: list[str], *, size: tuple[int, int] = (120, 40), seconds: float = 60, env: dict[str, str]
) -> bytes:
    """The output of `python ARGS` in a terminal of columns × rows; a TimeoutError after `seconds`."""
    pid, fd = pty.fork()
    if pid == 0:  # the child
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, *args], os.environ | env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    try:
        return _drain(fd, time.monotonic() + seconds)
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def _drain(fd: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while time.monotonic() < deadline:
        if not select.select([fd], [], [], 0.5)[0]:
            continue
        try:
            data = os.read(fd, 1 << 16)
        except OSError:  # the child has closed the terminal
            return b"".join(parts)
        if not data:
            return b"".join(parts)
        parts.append(data)
    raise TimeoutError(b"".join(parts)[-2000:])
