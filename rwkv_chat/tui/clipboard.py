"""The way of a text to the clipboard: through the terminal, and through the system's own tool where there is
one. No terminal says whether it took a text, so both are gone.
"""

from __future__ import annotations

import base64
import logging
import shutil
import subprocess
import sys
from typing import Literal

log = logging.getLogger(__name__)
SECONDS = 3.0
Place = Literal["tmux", "wayland", "x11", "macos", "windows"]

TOOLS: tuple[tuple[Place, tuple[str, ...]], ...] = (
    ("tmux", ("tmux", "load-buffer", "-w", "-")),
    ("wayland", ("wl-copy",)),
    ("x11", ("xclip", "-selection", "clipboard", "-in")),
    ("x11", ("xsel", "--clipboard", "--input")),
    ("macos", ("pbcopy",)),
    ("windows", ("clip.exe",)),  # from inside WSL, too
)


def sequence(text: str, *, tmux: bool) -> str:
    """OSC 52: the terminal itself puts a text on its clipboard. Inside tmux once for tmux, and once wrapped,
    which tmux hands on.
    """
    plain = f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode('ascii')}\x07"
    if not tmux:
        return plain
    wrapped = plain.replace("\x1b", "\x1b\x1b")
    return f"{plain}\x1bPtmux;{wrapped}\x1b\\"


def tools(places: frozenset[str]) -> list[tuple[str, ...]]:
    """Command lines that put their input on the clipboard, of those places that there are here: tmux's
    first, since it stands between the program and the others.
    """
    there = {"macos"} if sys.platform == "darwin" else {"windows"}
    return [line for place, line in TOOLS if place in places | there and shutil.which(line[0])]


def hand_over(text: str, lines: list[tuple[str, ...]]) -> bool:
    """Give a text to the first tool that takes it. Waits for it: not on the event loop."""
    for line in lines:
        try:
            subprocess.run(  # noqa: S603  one of the command lines above
                line,
                input=text.encode("utf-16-le" if line[0] == "clip.exe" else "utf-8", "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("%s did not take the text: %s", line[0], type(error).__name__)
        else:
            return True
    return False
