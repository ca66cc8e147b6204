"""`rwkv-chat convs pack`: a conversation with its memory as one file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rwkv_chat.cli.convs_shared import json_option, name_of, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.states_shared import last, shared_record, tell_shared
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("pack", help=say("convs.pack.help"))
@click.argument("name", metavar="ID|TITLE")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@model_option
@json_option
def command(name: str, file: Path, model: Path | None, as_json: bool) -> int:
    return asyncio.run(_pack(name, file, model, as_json=as_json))


async def _pack(name: str, file: Path, model: Path | None, *, as_json: bool) -> int:
    async with opened(model, keep=True) as session:
        thread = await session.convs.find(name)
        shared = await last(session.states.capsules.export(thread.id, file), name_of(thread))
    if as_json:
        print_json(shared_record(shared))
    else:
        tell_shared(shared)
    return OK
