"""`rwkv-chat states confirm`: is a state from outside what its text makes?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.states_shared import confirmed_record, last, tell_confirmed
from rwkv_chat.explain import FAILURE, OK
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path


@click.command("confirm", help=say("states.confirm.help"))
@click.argument("name", metavar="ID|NAME")
@model_option
@json_option
def command(name: str, model: Path | None, as_json: bool) -> int:
    return asyncio.run(_confirm(name, model, as_json=as_json))


async def _confirm(name: str, model: Path | None, *, as_json: bool) -> int:
    async with opened(model, keep=True) as session:
        persona = await session.states.find(name)
        found = await last(session.states.confirm(persona.id), persona.name)
    if as_json:
        print_json(confirmed_record(found))
    else:
        tell_confirmed(found)
    return OK if found.agrees else FAILURE
