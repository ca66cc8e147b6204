"""`rwkv-chat tune keep`: what a run has made becomes a persona of the library of states."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, print_json, thread_record
from rwkv_chat.cli.convs_shared import line as conversation_line
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.states_shared import line
from rwkv_chat.cli.states_shared import record as persona_record
from rwkv_chat.cli.tune_shared import found
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("keep", help=say("tune.keep.help"))
@click.argument("name", metavar="ID|NAME")
@click.option("--as", "called", default="", metavar="NAME", help=say("tune.keep.as"))
@click.option("--chat", default="", metavar="ID|TITLE", help=say("tune.keep.chat"))
@json_option
def command(name: str, called: str, chat: str, as_json: bool) -> int:
    return asyncio.run(_keep(name, called, chat, as_json=as_json))


async def _keep(name: str, called: str, chat: str, *, as_json: bool) -> int:
    tune = await found(name)
    async with opened(tune.model, keep=True) as session:
        thread = (await session.convs.find(chat)).id if chat else ""
        kept = await session.tunes.keep(tune.id, called, thread)
    if as_json:
        opened_on = thread_record(kept.thread) if kept.thread else None
        print_json({"persona": persona_record(kept.persona), "conversation": opened_on})
        return OK
    result(line(kept.persona))
    if kept.thread is not None:
        note(say("tune.keep.opened", row=conversation_line(kept.thread)))
    return OK
