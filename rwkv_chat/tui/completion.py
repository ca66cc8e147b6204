"""What may stand at the cursor: a command after "/", a file after "@". No Textual here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from rwkv_chat.paths import expanded
from rwkv_chat.texts import say
from rwkv_chat.tui.slash import SLASH

MOST_LOOKED_AT, MOST_OFFERED = 5_000, 50
_FILE = re.compile(r'(?:^|(?<=\s))@(?:"([^"]*)|([^\s"]*))$')
_COMMAND = re.compile(r"/([a-z]*)$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The word that is being typed.

    Attributes:
        start: where it begins in its line, with its "/" or "@".
    """

    kind: Literal["command", "file"]
    start: int
    word: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to complete it.

    Attributes:
        shown: what the list says first.  help: beside it.
        inserted: what takes the word's place; "" where a file is attached.
        path: the file that is attached.
        whole: nothing more is to be typed after it.
    """

    shown: str
    inserted: str = ""
    help: str = ""
    path: Path | None = None
    whole: bool = False


def wanted(line: str, *, first: bool) -> Wanted | None:
    """What the end of a line asks for. `first`: it is the first line, and there is no other."""
    if first and (found := _COMMAND.fullmatch(line)):
        return Wanted("command", 0, found[1])
    if found := _FILE.search(line):
        return Wanted("file", found.start(), found[1] if found[1] is not None else found[2])
    return None


def commands(word: str) -> list[Offer]:
    """Commands that begin so, then those that have it inside."""
    names = [each for each in SLASH if word in each.name]
    names.sort(key=lambda each: (not each.name.startswith(word), each.name != word))
    return [
        Offer(
            say(f"prompt.slash.{each.name}.usage"),
            f"/{each.name} " if each.takes_text else f"/{each.name}",
            say(f"prompt.slash.{each.name}.help"),
            whole=not each.takes_text,
        )
        for each in names
    ]


def files(word: str, folder: Path) -> list[Offer]:
    """Files and folders whose path begins so, folders first; hidden ones only after a dot."""
    before, slash, name = word.rpartition("/")
    base = folder / expanded(Path(before + slash)) if slash else folder
    try:
        with os.scandir(base) as entries:
            found = [each for each in islice(entries, MOST_LOOKED_AT) if _fits(each.name, name)]
    except (OSError, ValueError):
        return []
    offers = [_file(each, before + slash) for each in found]
    offers.sort(key=lambda each: (each.path is not None, each.shown.casefold()))
    return offers[:MOST_OFFERED]


def _fits(name: str, begun: str) -> bool:
    if not name.isprintable() or '"' in name:
        return False
    return name.casefold().startswith(begun.casefold()) and (begun.startswith(".") or name[0] != ".")


def _file(entry: os.DirEntry[str], before: str) -> Offer:
    try:
        is_folder = entry.is_dir()
    except OSError:
        is_folder = False
    if not is_folder:
        return Offer(before + entry.name, path=Path(entry.path))
    path = f"{before}{entry.name}/"
    return Offer(path, f'@"{path}' if " " in path else f"@{path}")
