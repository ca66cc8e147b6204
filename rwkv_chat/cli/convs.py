"""`rwkv-chat convs`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import click

from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.texts import say

# name → module; short helps stand in the catalogue under `convs.<name>.short`
CONVS: dict[str, str] = {
    "list": "rwkv_chat.cli.convs_list",
    "show": "rwkv_chat.cli.convs_show",
    "search": "rwkv_chat.cli.convs_search",
    "export": "rwkv_chat.cli.convs_export",
    "import": "rwkv_chat.cli.convs_import",
    "pack": "rwkv_chat.cli.convs_pack",
    "unpack": "rwkv_chat.cli.convs_unpack",
    "tag": "rwkv_chat.cli.convs_tag",
    "pin": "rwkv_chat.cli.convs_pin",
    "archive": "rwkv_chat.cli.convs_archive",
    "rm": "rwkv_chat.cli.convs_rm",
}


@click.group(
    "convs",
    cls=TableGroup,
    table=CONVS,
    short=lambda name: say(f"convs.{name}.short"),
    help=say("convs.help"),
)
def command() -> None:
    """What each of them returns is the exit code."""
