"""`rwkv-chat states export`: a persona as one safetensors file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.states_shared import shared_record, tell_shared
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("export", help=say("states.export.help"))
@click.argument("name", metavar="ID|NAME")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def command(name: str, file: Path, as_json: bool) -> int:
    return asyncio.run(_export(name, file, as_json=as_json))


async def _export(name: str, file: Path, *, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = await session.states.find(name)
        shared = await session.states.export(found.id, file)
    if as_json:
        print_json(shared_record(shared))
    else:
        tell_shared(shared)
    return OK
