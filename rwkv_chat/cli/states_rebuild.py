"""`rwkv-chat states rebuild`: a model reads what a persona was made of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import note
from rwkv_chat.cli.states_shared import last, name_of, record
from rwkv_chat.explain import OK
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path


@click.command("rebuild", help=say("states.rebuild.help"))
@click.argument("name", metavar="ID|NAME")
@model_option
@json_option
def command(name: str, model: Path | None, as_json: bool) -> int:
    return asyncio.run(_rebuild(name, model, as_json=as_json))


async def _rebuild(name: str, model: Path | None, *, as_json: bool) -> int:
    async with opened(model, keep=True) as session:
        found = await session.states.find(name)
        made = await last(session.states.rebuild(found.id), found.name)
        reader = session.models.current.name
    if as_json:
        print_json(record(made))
    else:
        note(say("states.rebuild.done", name=name_of(made), model=reader))
    return OK
