"""Links leave the program only for a browser that has a window of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import webbrowser

SCHEMES = ("http://", "https://", "mailto:")
OPENER = "xdg-open"


def open_link(link: str, places: frozenset[str]) -> bool:
    """Whether a browser was asked for it. A text browser would take the terminal from the program, and a file
    is nothing that a message may open.
    """
    if not link.casefold().startswith(SCHEMES):
        return False
    try:
        if sys.platform in ("darwin", "win32"):
            return webbrowser.open(link)
        if not places & {"wayland", "x11"} or shutil.which(OPENER) is None:
            return False
        quiet = subprocess.DEVNULL
        asked = [OPENER, link]
        subprocess.Popen(asked, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603  the link was checked and confirmed
    except (OSError, webbrowser.Error):
        return False
    return True
