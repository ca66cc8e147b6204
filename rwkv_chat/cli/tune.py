"""`rwkv-chat tune`: a group of commands, each imported only when it is called."""

from __future__ import annotations

import click

from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.texts import say

# name → module; short helps stand in the catalogue under `tune.<name>.short`
TUNES: dict[str, str] = {
    "new": "rwkv_chat.cli.tune_new",
    "run": "rwkv_chat.cli.tune_run",
    "list": "rwkv_chat.cli.tune_list",
    "show": "rwkv_chat.cli.tune_show",
    "stop": "rwkv_chat.cli.tune_stop",
    "resume": "rwkv_chat.cli.tune_resume",
    "compare": "rwkv_chat.cli.tune_compare",
    "keep": "rwkv_chat.cli.tune_keep",
    "use": "rwkv_chat.cli.tune_use",
    "export": "rwkv_chat.cli.tune_export",
    "rm": "rwkv_chat.cli.tune_rm",
}


@click.group(
    "tune",
    cls=TableGroup,
    table=TUNES,
    short=lambda name: say(f"tune.{name}.short"),
    help=say("tune.help"),
)
def command() -> None:
    """What each of them returns is the exit code."""
