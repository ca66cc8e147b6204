"""`rwkv-chat states usage`: what saved states take up, altogether and by conversation."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import result
from rwkv_chat.explain import OK, size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

SHOWN = 20  # conversations, most bytes first


@click.command("usage", help=say("states.usage.help"))
@json_option
def command(as_json: bool) -> int:
    return asyncio.run(_usage(as_json=as_json))


async def _usage(*, as_json: bool) -> int:
    async with shelf_opened() as session:
        use = await session.states.usage()
    if as_json:
        print_json(asdict(use))
        return OK
    sizes = {name: size(getattr(use, name)) for name in ("disk_bytes", "disk_budget", "held_bytes", "other")}
    result(say("states.usage.disk", **sizes))
    for each in use.chats[:SHOWN]:
        name = title(each.title) or say("convs.untitled")
        row = say("states.usage.row", size=size(each.nbytes), states=each.states, name=name)
        result(row + (say("states.usage.shared", size=size(each.shared)) if each.shared else ""))
    return OK
