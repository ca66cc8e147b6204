"""Seconds from starting the program to its answer on the screen: a fresh data folder, a real pseudo-terminal.

    python -m tests.bench.first_token [runs]

The welcome was seen before. A question is typed at the first frame and sent at once; the clock stops when the
key that answers it has been drawn, which is a few tokens after the first one. Prints each run, the median and
the load.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

QUESTION, ANSWER = "how do i quit?", "Ctrl+Q"
PATIENCE = 60.0


def measure(home: str) -> tuple[float, float]:
    """Seconds to the first frame, and to the answer."""
    settings = Path(home, "config", "settings.toml")
    settings.parent.mkdir(mode=0o700)
    settings.write_text("first_run_done = true\n")
    started = time.monotonic()
    pid, fd = pty.fork()
    if pid == 0:
        env = os.environ | {"RWKV_CHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execve(sys.executable, [sys.executable, "-m", "rwkv_chat"], env)  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    try:
        _wait(fd, "Write a message")
        first_frame = time.monotonic() - started
        os.write(fd, QUESTION.encode() + b"\r")
        _wait(fd, ANSWER)
        return first_frame, time.monotonic() - started
    finally:
        os.kill(pid, signal.SIGTERM)
        _drain(fd)
        os.waitpid(pid, 0)
        os.close(fd)


def _wait(fd: int, text: str) -> None:
    """Until `text` has been drawn, whatever else was."""
    drawn, deadline = "", time.monotonic() + PATIENCE
    while text not in drawn:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{text!r} was not drawn within {PATIENCE:.0f} s: {drawn[-500:]!r}")
        if select.select([fd], [], [], 0.2)[0]:
            data = os.read(fd, 1 << 16).decode(errors="replace")
            drawn += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data)


def _drain(fd: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if not os.read(fd, 1 << 16):
                return
        except OSError:
            return


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    frames, answers = [], []
    for number in range(runs):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            frame, answer = measure(home)
        frames.append(frame)
        answers.append(answer)
        load = os.getloadavg()[0]
        print(f"run {number + 1}: first frame {frame:.2f} s, answer {answer:.2f} s, load {load:.2f}")
    print(f"median of {runs}: first frame {statistics.median(frames):.2f} s")
    print(f"median of {runs}: answer {statistics.median(answers):.2f} s")


if __name__ == "__main__":
    main()
