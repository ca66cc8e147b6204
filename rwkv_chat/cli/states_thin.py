"""`rwkv-chat states thin`: give up saved states that conversations can do without."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.explain import OK, size
from rwkv_chat.texts import say


@click.command("thin", help=say("states.thin.help"))
@json_option
def command(as_json: bool) -> int:
    return asyncio.run(_thin(as_json=as_json))


async def _thin(*, as_json: bool) -> int:
    async with shelf_opened() as session:
        done = await session.states.thin()
    if as_json:
        print_json({"states": done.states, "nbytes": done.nbytes})
    else:
        note(say("states.thin.done", states=done.states, size=size(done.nbytes)))
    return OK
