"""`rwkv-chat tune resume`: a run goes on from its last checkpoint."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.tune_shared import follow, line, record
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("resume", help=say("tune.resume.help"))
@click.argument("name", metavar="ID|NAME")
@click.option("--follow", "follows", is_flag=True, help=say("tune.new.follow"))
@json_option
def command(name: str, follows: bool, as_json: bool) -> int:
    return asyncio.run(_resume(name, follows=follows, as_json=as_json))


async def _resume(name: str, *, follows: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        tune = await session.tunes.find(name)
        tune = await session.tunes.resume(tune.id)
        if as_json:
            print_json(record(tune))
        else:
            result(line(tune))
        if follows:
            return await follow(session, tune)
    note(say("tune.new.begun", id=tune.id))
    return OK
