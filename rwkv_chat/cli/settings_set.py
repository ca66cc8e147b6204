"""`rwkv-chat settings set`: another value for one setting."""

from __future__ import annotations

import click

from rwkv_chat.cli.settings_shared import settings_file
from rwkv_chat.explain import OK
from rwkv_chat.setting_specs import spec_of
from rwkv_chat.texts import say


@click.command("set", help=say("settings.command.set"))
@click.argument("name")
@click.argument("value")
def command(name: str, value: str) -> int:
    """The exit code. Raises: SettingUnknown, SettingRefused, OSError."""
    read = spec_of(name).read(value)
    settings_file().change(**{name: read})
    return OK
