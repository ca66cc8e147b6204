"""`rwkv-chat models`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import importlib

import click

from rwkv_chat.cli.near import NearGroup
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


class ModelCommands(NearGroup):
    """The rows of `MODELS`; help imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(MODELS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = MODELS.get(cmd_name)
        return importlib.import_module(module).command if module else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, say(f"models.{name}.short")) for name in MODELS])


@click.group("models", cls=ModelCommands, help=say("models.help"))
def command() -> None:
    """What each of them returns is the exit code."""
