"""`rwkv-chat states compare`: what the states of two personas differ in."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.cli.table import print_columns
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("compare", help=say("states.compare.help"))
@click.argument("one", metavar="ID|NAME")
@click.argument("other", metavar="ID|NAME")
@json_option
def command(one: str, other: str, as_json: bool) -> int:
    return asyncio.run(_compare(one, other, as_json=as_json))


async def _compare(one: str, other: str, *, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = [await session.states.find(each) for each in (one, other)]
        changes = await session.states.compare(found[0].id, found[1].id)
    if as_json:
        print_json({"heads": changes.heads})
        return OK
    if not changes.heads:
        note(say("states.compare.layouts"))
    else:
        headings = [say(f"states.column.{each}") for each in ("layer", "least", "mean", "most")]
        print_columns(headings, [_row(at, row) for at, row in enumerate(changes.heads)])
    return OK


def _row(layer: int, heads: tuple[float, ...]) -> list[str]:
    values = (min(heads), sum(heads) / len(heads), max(heads))
    return [str(layer), *(f"{each:.1%}" for each in values)]
