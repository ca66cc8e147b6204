"""`rwkv-chat tune list`: all runs, newest first."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.tune_shared import line, record
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("list", help=say("tune.list.help"))
@json_option
def command(as_json: bool) -> int:
    return asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = await session.tunes.list()
    if as_json:
        print_json([record(each) for each in found])
        return OK
    if not found:
        note(say("tune.none"))
    for each in found:
        result(line(each))
    return OK
