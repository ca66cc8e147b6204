"""`rwkv-chat states`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import click

from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.texts import say

# name → module; short helps stand in the catalogue under `states.<name>.short`
STATES: dict[str, str] = {
    "list": "rwkv_chat.cli.states_list",
    "show": "rwkv_chat.cli.states_show",
    "save": "rwkv_chat.cli.states_save",
    "rebuild": "rwkv_chat.cli.states_rebuild",
    "export": "rwkv_chat.cli.states_export",
    "import": "rwkv_chat.cli.states_import",
    "confirm": "rwkv_chat.cli.states_confirm",
    "compare": "rwkv_chat.cli.states_compare",
    "rm": "rwkv_chat.cli.states_rm",
    "usage": "rwkv_chat.cli.states_usage",
    "thin": "rwkv_chat.cli.states_thin",
}


@click.group(
    "states",
    cls=TableGroup,
    table=STATES,
    short=lambda name: say(f"states.{name}.short"),
    help=say("states.help"),
)
def command() -> None:
    """What each of them returns is the exit code."""
