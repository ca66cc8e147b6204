"""`rwkv-chat convs show`: the messages of one conversation, to where it stands."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import (
    deleted_option,
    json_option,
    name_of,
    node_record,
    print_json,
    thread_record,
)
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("show", help=say("convs.show.help"))
@click.argument("name", metavar="ID|TITLE")
@click.option("--thoughts", is_flag=True, help=say("convs.show.thoughts"))
@deleted_option
@json_option
def command(name: str, thoughts: bool, deleted: bool, as_json: bool) -> int:
    return asyncio.run(_show(name, thoughts=thoughts, deleted=deleted, as_json=as_json))


async def _show(name: str, *, thoughts: bool, deleted: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        thread = await session.convs.find(name, deleted=deleted)
        nodes = (await session.convs.tree(thread.id)).path
    if as_json:
        print_json(thread_record(thread) | {"messages": [node_record(each) for each in nodes]})
        return OK
    note(name_of(thread))
    for each in nodes:
        said = each.message
        if thoughts and said.reasoning:
            result(say("convs.thought", text=said.reasoning))
        result(say("convs.message", who=say(f"convs.speaker.{said.role}"), text=said.text))
    return OK
