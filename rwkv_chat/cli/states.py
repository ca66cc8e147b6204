"""`rwkv-chat states`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import importlib

import click

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


class StateCommands(click.Group):
    """The rows of `STATES`; help imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(STATES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = STATES.get(cmd_name)
        return importlib.import_module(module).command if module else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, say(f"states.{name}.short")) for name in STATES])


@click.group("states", cls=StateCommands, help=say("states.help"))
def command() -> None:
    """What each of them returns is the exit code."""
