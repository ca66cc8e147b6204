"""Text files that go into a message: read whole, within a bound, and named as they are."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rwkv_chat.plain_text import pasted, title

LARGEST = 200_000  # bytes; longer texts are read in the background, with /read
LONGEST_NAME = 50
Refusal = Literal["missing", "no_file", "too_large", "binary", "unreadable"]


class NotAttached(Exception):
    """A file cannot go into a message: `kind` says why, `name` is how it is shown."""

    def __init__(self, kind: Refusal, name: str, reason: str = "") -> None:
        super().__init__(kind, name, reason)
        self.kind, self.name, self.reason = kind, name, reason


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file's text.

    Attributes:
        name: where the file really is, links resolved: from the working folder if it is inside, else with "~"
            for the home folder.
    """

    name: str
    text: str

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def said(self) -> str:
        """As it stands in a message: its name, and its text in a fence that it cannot close."""
        ticks = max((len(run) for run in re.findall(r"`+", self.text)), default=0)
        fence = "`" * max(3, ticks + 1)
        kind = Path(self.name).suffix.removeprefix(".")
        info = kind if re.fullmatch(r"[A-Za-z0-9+]{1,12}", kind) else ""
        return f"{self.name}:\n{fence}{info}\n{self.text.rstrip()}\n{fence}"


def attach(path: Path, folder: Path, home: Path) -> Attachment:
    """Read a file; `folder` is the working folder. Raises: NotAttached."""
    name = shown_name(path, folder, home)
    data = _read(path, name)
    if len(data) > LARGEST:
        raise NotAttached("too_large", name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotAttached("binary", name) from error
    if "\0" in text:
        raise NotAttached("binary", name)
    return Attachment(name, pasted(text))


def shown_name(path: Path, folder: Path, home: Path) -> str:
    """Where a file really is, on one line."""
    real = Path(os.path.realpath(path))
    for base, before in ((folder, ""), (home, "~/")):
        base_real = Path(os.path.realpath(base))
        if real.is_relative_to(base_real):
            return title(f"{before}{real.relative_to(base_real).as_posix()}", LONGEST_NAME)
    return title(str(real), LONGEST_NAME)


def _read(path: Path, name: str) -> bytes:
    """At most one byte more than the bound; a pipe or a device is not waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        opened = os.open(path, flags)
    except FileNotFoundError as error:
        raise NotAttached("missing", name) from error
    except OSError as error:
        raise NotAttached("unreadable", name, error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise NotAttached("no_file", name)
    try:
        with os.fdopen(opened, "rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise NotAttached("unreadable", name, error.strerror or str(error)) from error
