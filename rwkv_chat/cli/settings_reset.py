"""`rwkv-chat settings reset`: the usual value of one setting."""

from __future__ import annotations

import click

from rwkv_chat.cli.settings_shared import settings_file
from rwkv_chat.explain import OK
from rwkv_chat.setting_specs import spec_of
from rwkv_chat.texts import say


@click.command("reset", help=say("settings.command.reset"))
@click.argument("name")
def command(name: str) -> int:
    """The exit code. Raises: SettingUnknown, OSError."""
    spec_of(name)
    settings_file().reset(name)
    return OK
