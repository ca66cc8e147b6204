"""`rwkv-chat convs list`: conversations, newest first."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from rwkv_chat.cli.convs_shared import deleted_option, json_option, line, print_json, thread_record
from rwkv_chat.cli.numbers import Whole
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import OK
from rwkv_chat.texts import say

USUAL = 50


@click.command("list", help=say("convs.list.help"))
@click.option("--limit", type=Whole(1), default=USUAL, show_default=True, help=say("convs.list.limit"))
@click.option("--all", "every", is_flag=True, help=say("convs.list.all"))
@click.option("--tag", default="", help=say("convs.list.tag"))
@click.option("--archived", is_flag=True, help=say("convs.list.archived"))
@deleted_option
@json_option
def command(limit: int, every: bool, tag: str, archived: bool, deleted: bool, as_json: bool) -> int:
    chosen = {"deleted": True} if deleted else {"tag": tag, "archived": archived}
    return asyncio.run(_list(-1 if every else limit, chosen, as_json=as_json))


async def _list(limit: int, chosen: dict[str, Any], *, as_json: bool) -> int:
    async with shelf_opened() as session:
        threads = await session.convs.listed(limit, **chosen)
        tags = await session.convs.tags_of(each.id for each in threads)
    if as_json:
        print_json([thread_record(each) | {"tags": tags[each.id]} for each in threads])
        return OK
    for each in threads:
        result(line(each) + "".join(f"  #{tag}" for tag in tags[each.id]))
    if not threads:
        note(say("convs.none"))
    return OK
