"""`rwkv-chat states save`: the state of a conversation under a name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import note
from rwkv_chat.cli.states_shared import last, line, record
from rwkv_chat.explain import OK
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path


@click.command("save", help=say("states.save.help"))
@click.argument("conversation", metavar="ID|TITLE")
@click.argument("name")
@click.option("--description", default="", help=say("states.save.description"))
@click.option("--tag", "tags", multiple=True, help=say("states.save.tag"))
@model_option
@json_option
def command(
    conversation: str, name: str, description: str, tags: tuple[str, ...], model: Path | None, as_json: bool
) -> int:
    return asyncio.run(_save(conversation, name, description, tags, model, as_json=as_json))


async def _save(
    conversation: str,
    name: str,
    description: str,
    tags: tuple[str, ...],
    model: Path | None,
    *,
    as_json: bool,
) -> int:
    async with opened(model, keep=True) as session:
        thread = await session.convs.find(conversation)
        events = session.states.save(thread.id, name, description=description, tags=tags)
        made = await last(events, name)
    if as_json:
        print_json(record(made))
    else:
        note(say("states.save.done", row=line(made)))
    return OK
