"""The language of this run, before anything is said: help texts and keys are worded on import."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rwkv_chat import texts
from rwkv_chat.cli.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTION = "--language"

# as this program writes it, before the first table; what looks otherwise is read with the whole file
_NAMED = re.compile(rb'^language = "([a-z]{2,8})"\r?$', re.MULTILINE)


def choose(arguments: Sequence[str] = ()) -> str:
    """Speak as the command line says, else as the settings do, and give that language; English where neither
    names one that there is.
    """
    texts.use(_typed(arguments) or _kept())
    return texts.spoken()


def _typed(arguments: Sequence[str]) -> str:
    """What follows the option before a command, which may have one of that name; "" for nothing. What is
    wrong with it is told by the option itself.
    """
    commands = {row.name for row in COMMANDS}
    for at, each in enumerate(arguments, 1):
        if each in commands:
            break
        if each == OPTION:
            return "".join(arguments[at : at + 1])
        if each.startswith(f"{OPTION}="):
            return each.partition("=")[2]
    return ""


def _kept() -> str:
    """What the settings file names; "" for nothing, or no such file."""
    from rwkv_chat.paths import FolderUnusable, Paths, settings_file

    try:
        with open(settings_file(), "rb") as file:  # noqa: PTH123  see `rwkv_chat.paths`
            found = file.read()
    except (OSError, FolderUnusable):  # whoever needs the folder tells it
        return ""
    if b"language" not in found:  # as for most people: reading settings costs the help a tenth of its time
        return ""
    named = _NAMED.findall(b"\n".join([b"", found]).partition(b"\n[")[0])
    if len(named) == 1 == found.count(b"language"):
        return named[0].decode()
    from rwkv_chat.settings_file import SettingsFile

    return SettingsFile(Paths.find().settings_file).values.language
