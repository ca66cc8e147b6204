"""`rwkv-chat tune show`: how a run stands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rwkv_chat.amounts import duration
from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.tune_shared import command_line, line, method_of, perplexity, record, taken
from rwkv_chat.dates import date_of
from rwkv_chat.explain import OK
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.session.tune_types import Tune


@click.command("show", help=say("tune.show.help"))
@click.argument("name", metavar="ID|NAME")
@json_option
def command(name: str, as_json: bool) -> int:
    return asyncio.run(_show(name, as_json=as_json))


async def _show(name: str, *, as_json: bool) -> int:
    async with shelf_opened() as session:
        tune = await session.tunes.find(name)
    if as_json:
        print_json(record(tune))
    else:
        _print(tune)
    return OK


def _print(tune: Tune) -> None:
    result(line(tune))
    if tune.status == "damaged":
        note(tune.error)
        return
    result(
        say(
            "tune.show.made", date=date_of(tune.created), model=title(tune.model_name), method=method_of(tune)
        )
    )
    if tune.loss is not None:
        result(say("tune.show.loss", loss=f"{tune.loss:.3f}"))
    if tune.first is not None and tune.best is not None:
        result(say("tune.show.losses", base=perplexity(tune.first), tuned=perplexity(tune.best)))
    if tune.running and tune.seconds_left is not None:
        result(say("tune.show.left", left=duration(tune.seconds_left)))
    if tune.peak is not None:
        result(f"  {taken(tune.peak, tune.expected or 0)}")
    result(say("tune.show.folder", path=title(str(tune.folder), 300)))
    result(command_line(tune))
    if tune.error:
        note(tune.error)
