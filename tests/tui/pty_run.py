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
    args: list[str], *, size: tuple[int, int] = (120, 40), seconds: float = 60, env: dict[str, str]
) -> tuple[bytes, int]:
    """Output and exit code of `python ARGS` in a terminal of columns × rows; TimeoutError after `seconds`."""
    pid, fd = pty.fork()
    if pid == 0:  # the child
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, *args], os.environ | env)  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    try:
        drawn = _drain(fd, time.monotonic() + seconds)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(fd)
        status = os.waitpid(pid, 0)[1]
    return drawn, os.waitstatus_to_exitcode(status)


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
