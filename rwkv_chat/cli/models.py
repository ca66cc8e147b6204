"""`rwkv-chat models`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import click

from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.texts import say

# name → module; short helps stand in the catalogue under `models.<name>.short`
MODELS: dict[str, str] = {
    "list": "rwkv_chat.cli.models_list",
    "pull": "rwkv_chat.cli.models_pull",
    "import": "rwkv_chat.cli.models_import",
    "info": "rwkv_chat.cli.models_info",
    "verify": "rwkv_chat.cli.models_verify",
    "convert": "rwkv_chat.cli.models_convert",
    "rm": "rwkv_chat.cli.models_rm",
}


@click.group(
    "models",
    cls=TableGroup,
    table=MODELS,
    short=lambda name: say(f"models.{name}.short"),
    help=say("models.help"),
)
def command() -> None:
    """What each of them returns is the exit code."""
