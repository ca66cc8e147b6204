"""`rwkv-chat settings`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import click

from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.texts import say

# name → module; short helps stand in the catalogue under `settings.command.<name>`
SETTINGS: dict[str, str] = {
    "list": "rwkv_chat.cli.settings_list",
    "get": "rwkv_chat.cli.settings_get",
    "set": "rwkv_chat.cli.settings_set",
    "reset": "rwkv_chat.cli.settings_reset",
    "path": "rwkv_chat.cli.settings_path",
}


@click.group(
    "settings",
    cls=TableGroup,
    table=SETTINGS,
    short=lambda name: say(f"settings.command.{name}"),
    help=say("settings.command.help"),
)
def command() -> None:
    """What each of them returns is the exit code."""
