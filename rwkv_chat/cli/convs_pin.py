"""`rwkv-chat convs pin`: at the top of the list."""

from __future__ import annotations

import click

from rwkv_chat.cli.convs_shared import json_option, mark
from rwkv_chat.texts import say


@click.command("pin", help=say("convs.pin.help"))
@click.argument("names", metavar="ID|TITLE...", nargs=-1, required=True)
@click.option("--off", is_flag=True, help=say("convs.pin.off"))
@json_option
def command(names: tuple[str, ...], off: bool, as_json: bool) -> int:
    return mark("pin", names, on=not off, as_json=as_json)
