"""`rwkv-chat states import`: personas from files, of this program or of those that train states."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.states_shared import line, name_of, record
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("import", help=say("states.import.help"))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@json_option
def command(files: tuple[Path, ...], model: Path | None, as_json: bool) -> int:
    return asyncio.run(_import(files, model, as_json=as_json))


async def _import(files: tuple[Path, ...], model: Path | None, *, as_json: bool) -> int:
    async with opened(model, keep=True) as session:
        taken = [await session.states.import_(each) for each in files]
    if as_json:
        print_json([record(each) for each in taken])
        return OK
    for each in taken:
        result(line(each))
        if any(not state.trusted for state in each.states):
            note(say("states.import.unverified", name=name_of(each)))
    return OK
