"""`rwkv-chat settings path`: where the file is."""

from __future__ import annotations

import click

from rwkv_chat.cli.output import result
from rwkv_chat.explain import OK
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say


@click.command("path", help=say("settings.command.path"))
def command() -> int:
    """The exit code."""
    result(str(Paths.find().settings_file))
    return OK
