"""`rwkv-chat tune use`: which adapter or tuned state a conversation speaks with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import json_option, name_of, print_json, thread_record
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import note
from rwkv_chat.explain import OK
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path

NONE = "none"


@click.command("use", help=say("tune.use.help"))
@click.argument("persona", metavar="ID|NAME|none")
@click.argument("chat", metavar="ID|TITLE")
@model_option
@json_option
def command(persona: str, chat: str, model: Path | None, as_json: bool) -> int:
    return asyncio.run(_use(persona, chat, model, as_json=as_json))


async def _use(persona: str, chat: str, model: Path | None, *, as_json: bool) -> int:
    async with opened(model, keep=True) as session:
        thread = await session.convs.find(chat)
        found = None if persona == NONE else await session.states.find(persona)
        thread = await session.states.speak_with(thread.id, found.id if found else None)
    if as_json:
        print_json(thread_record(thread) | {"adapter": thread.adapter, "initial": thread.initial})
    elif found is None:
        note(say("tune.use.alone", chat=name_of(thread)))
    else:
        note(say("tune.use.done", chat=name_of(thread), name=title(found.name)))
    return OK
