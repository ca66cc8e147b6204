"""`rwkv-chat convs import`: take in conversations that were exported as JSON."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rwkv_chat.cli.convs_shared import json_option, line, print_json, thread_record
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("import", help=say("convs.import.help"))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def command(files: tuple[Path, ...], as_json: bool) -> int:
    return asyncio.run(_import(files, as_json=as_json))


async def _import(files: tuple[Path, ...], *, as_json: bool) -> int:
    done = []
    async with shelf_opened() as session:
        for file in files:
            done += await session.convs.import_(file)
    if as_json:
        print_json([thread_record(each.thread) | {"new": each.new} for each in done])
        return OK
    for each in done:
        result(line(each.thread) if each.new else say("convs.import.known", row=line(each.thread)))
    note(
        say("convs.import.done", new=sum(each.new for each in done), known=sum(not each.new for each in done))
    )
    return OK
