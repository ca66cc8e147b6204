"""`rwkv-chat convs`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import importlib

import click

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


class ConversationCommands(click.Group):
    """The rows of `CONVS`; help imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(CONVS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = CONVS.get(cmd_name)
        return importlib.import_module(module).command if module else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, say(f"convs.{name}.short")) for name in CONVS])


@click.group("convs", cls=ConversationCommands, help=say("convs.help"))
def command() -> None:
    """What each of them returns is the exit code."""
