"""`rwkv-chat convs tag`: tags on conversations."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, name_of, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import result
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("tag", help=say("convs.tag.help"))
@click.argument("names", metavar="[ID|TITLE]...", nargs=-1)
@click.option("--add", metavar="TAG", multiple=True, help=say("convs.tag.add"))
@click.option("--remove", metavar="TAG", multiple=True, help=say("convs.tag.remove"))
@json_option
def command(names: tuple[str, ...], add: tuple[str, ...], remove: tuple[str, ...], as_json: bool) -> int:
    if not names:
        return asyncio.run(_all(as_json=as_json))
    return asyncio.run(_tag(names, add, remove, as_json=as_json))


async def _all(*, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = await session.convs.tags()
    if as_json:
        print_json([{"tag": tag, "conversations": number} for tag, number in found])
        return OK
    for tag, number in found:
        result(say("convs.tag.row", tag=tag, number=number))
    return OK


async def _tag(
    names: tuple[str, ...], add: tuple[str, ...], remove: tuple[str, ...], *, as_json: bool
) -> int:
    async with shelf_opened() as session:
        threads = [await session.convs.find(each) for each in names]
        await session.convs.tag([each.id for each in threads], add, remove)
        tags = await session.convs.tags_of(each.id for each in threads)
    if as_json:
        print_json([{"id": each.id, "tags": tags[each.id]} for each in threads])
        return OK
    for each in threads:
        shown = " ".join(f"#{tag}" for tag in tags[each.id]) or say("convs.tag.none")
        result(say("convs.tag.of", name=name_of(each), tags=shown))
    return OK
