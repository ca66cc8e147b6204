"""Results go to stdout, everything else to stderr. What is shown on a terminal cannot steer it.

What cleans a text is imported when one is written: the help, which click writes, does without.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def result(text: str, *, end: str = "\n") -> None:
    """Write to stdout at once: cleaned for a terminal, exact for a pipe or a file.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    sys.stdout.write((_clean(text) if sys.stdout.isatty() else text) + end)
    sys.stdout.flush()


def note(text: str, *, end: str = "\n") -> None:
    """Write a remark to stderr; if nobody reads it, it is dropped."""
    with suppress(OSError, ValueError):
        sys.stderr.write(_clean(text) + end)
        sys.stderr.flush()


def thoughts(text: str, *, end: str = "\n") -> None:
    """Write what a model thinks to stderr, dim where that is a terminal that shows it."""
    from rwkv_chat.paths import dim_shows

    plain = not sys.stderr.isatty() or not dim_shows()
    with suppress(OSError, ValueError):
        sys.stderr.write(_clean(text) + end if plain else f"\x1b[2m{_clean(text)}\x1b[22m{end}")
        sys.stderr.flush()


def _clean(text: str) -> str:
    from rwkv_chat.plain_text import clean

    return clean(text)


def prepare_streams() -> None:
    """What the terminal's encoding cannot show becomes a question mark, never an error; a stream that was
    closed before the start reads and writes nothing.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  as long as we live
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="replace")


def abandon_stdout() -> None:
    """Point stdout at nothing, so that nothing more complains about a reader who left."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
