"""`rwkv-chat tune stop`: a run ends after its step, with a checkpoint and a result."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.cli.tune_shared import name_of, record
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("stop", help=say("tune.stop.help"))
@click.argument("name", metavar="ID|NAME")
@json_option
def command(name: str, as_json: bool) -> int:
    return asyncio.run(_stop(name, as_json=as_json))


async def _stop(name: str, *, as_json: bool) -> int:
    async with shelf_opened() as session:
        tune = await session.tunes.find(name)
        await session.tunes.stop(tune.id)
        tune = await session.tunes.ended(tune.id)
    if as_json:
        print_json(record(tune))
    else:
        note(say("tune.stop.done", name=name_of(tune)))
    return OK
