"""How long the program takes to its help and to its first frame, beside what its libraries take alone.

Seconds of processor time, not of the clock: a busy machine changes them little. The two kinds of process take
turns, and medians are compared. Python keeps the code that it has compiled, as it does for people.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from tests.tui.pty_run import ROOT, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLICK = ["-c", "import click"]
TEXTUAL = ["-c", "import textual.app, textual.widgets"]
HELP = ["-m", "rwkv_chat", "--help"]
PROGRAM = ["-m", "rwkv_chat"]
PROMPT = "Write a message"
_CODE = tempfile.TemporaryDirectory(prefix="rwkv-chat-code-", ignore_cleanup_errors=True)
KEPT = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": _CODE.name}


def run_alone(arguments: list[str]) -> float:
    """Processor seconds of a whole Python process."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | KEPT,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def first_frame(home: Path) -> tuple[float, float]:
    """Processor seconds, and seconds of the clock, from the program's start to the frame with its prompt."""
    return whole(home, PROMPT)


def whole(home: Path, shown: str) -> tuple[float, float]:
    """The same until a text was drawn.

    The program itself takes the processor's time (`tests.first_paint`): whoever reads it from outside may
    come late on a busy machine, and count what was done after the frame.
    """
    used = home.parent / "used"
    used.unlink(missing_ok=True)
    begun = time.monotonic()
    program = ["-m", "tests.first_paint", str(used), shown]
    with Terminal(program, env={"RWKV_CHAT_HOME": str(home), **KEPT}, end=signal.SIGKILL) as terminal:
        terminal.wait_for(shown)
        wall = time.monotonic() - begun
    return float(used.read_text()), wall


def ratio(ours: Callable[[], float], theirs: Callable[[], float], turns: int) -> float:
    """The median of ours over the median of theirs; they take turns, after one that warms the page cache."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(turns)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


def settled_home(home: Path) -> Path:
    """A data folder whose welcome was seen."""
    settings = home / "config" / "settings.toml"
    settings.parent.mkdir(mode=0o700, parents=True)
    settings.write_text("first_run_done = true\n")
    return home
