"""The one place where the command line opens the terminal interface."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.found import found
from rwkv_chat.cli.setting_options import overrides
from rwkv_chat.texts import say, spoken, use

if TYPE_CHECKING:
    from pathlib import Path


def open_tui(model: Path | None, dtype: str | None = None, *, private: bool = False) -> int:
    """Open the full-screen program, with the settings that were given for this run; its exit code.

    Raises:
        ModelNotFound, ModelUnknown, ModelAmbiguous: `model` means no weights.
        UsageError: there is no terminal to draw on.
    """
    weights = found(model)
    given = overrides() | ({"dtype": dtype} if dtype else {})
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(say("cli.needs_terminal"))
    use(given.get("language") or spoken())  # before the keys are worded
    gc.disable()  # until the first frame stands: nothing that is made for it is garbage
    from rwkv_chat.tui.app import run

    return run(weights, given, private=private)
