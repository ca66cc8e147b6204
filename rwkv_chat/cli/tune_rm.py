"""`rwkv-chat tune rm`: runs with their folders; what was kept of them stays."""

from __future__ import annotations

import asyncio
import sys

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.cli.tune_shared import line, name_of, record
from rwkv_chat.explain import INTERRUPTED, OK
from rwkv_chat.texts import say


@click.command("rm", help=say("tune.rm.help"))
@click.argument("names", metavar="ID|NAME...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help=say("tune.rm.yes"))
@json_option
def command(names: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """The exit code: 130 where the person said no."""
    return asyncio.run(_remove(names, yes=yes, as_json=as_json))


async def _remove(names: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = {each.id: each for each in [await session.tunes.find(name) for name in names]}
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError(say("tune.rm.needs_yes"))
            for each in found.values():
                note(line(each))
            if not click.confirm(say("tune.rm.ask", number=len(found)), err=True):
                return INTERRUPTED
        for each in found.values():
            await session.tunes.remove(each.id)
            if not as_json:
                note(say("tune.rm.done", name=name_of(each)))
    if as_json:
        print_json([record(each) for each in found.values()])
    return OK
