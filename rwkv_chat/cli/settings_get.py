"""`rwkv-chat settings get`: the value of one setting."""

from __future__ import annotations

import click

from rwkv_chat.cli.output import result
from rwkv_chat.cli.settings_shared import settings_file
from rwkv_chat.explain import OK
from rwkv_chat.setting_specs import spec_of
from rwkv_chat.texts import say


@click.command("get", help=say("settings.command.get"))
@click.argument("name")
def command(name: str) -> int:
    """The exit code. Raises: SettingUnknown."""
    spec = spec_of(name)
    result(spec.written(getattr(settings_file().values, name)))
    return OK
