"""The one place where the command line opens the terminal interface.

`rwkv-chat` alone comes here without click, which would be a seventh of its start.
"""

from __future__ import annotations

import gc
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rwkv_chat.texts import say, spoken, use

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def open_tui(model: Path | None, dtype: str | None = None, *, private: bool = False) -> int:
    """Open the full-screen program, with the settings that were given for this run; its exit code.

    Raises:
        ModelNotFound, ModelUnknown, ModelAmbiguous: `model` means no weights.
        UsageError: there is no terminal to draw on.
    """
    from rwkv_chat.cli.found import found
    from rwkv_chat.cli.setting_options import overrides

    weights = found(model)
    given = overrides() | ({"dtype": dtype} if dtype else {})
    if not on_terminal():
        import click

        raise click.UsageError(say("cli.needs_terminal"))
    return shown(weights, given, private=private)


def on_terminal() -> bool:
    """Whether there is a terminal to draw on; a stream that was closed is none."""
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stdout))


def shown(
    weights: Path | None = None, given: Mapping[str, Any] = MappingProxyType({}), *, private: bool = False
) -> int:
    """Show the full-screen program until it is left; its exit code. `given`: settings for this run."""
    use(given.get("language") or spoken())  # before the keys are worded
    gc.disable()  # until the first frame stands: nothing that is made for it is garbage
    from rwkv_chat.tui.app import run

    return run(weights, given, private=private)
