"""`rwkv-chat states rm`: personas off the library, their states off the disk."""

from __future__ import annotations

import asyncio
import sys

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.cli.states_shared import line, name_of, record
from rwkv_chat.explain import INTERRUPTED, OK
from rwkv_chat.texts import say


@click.command("rm", help=say("states.rm.help"))
@click.argument("names", metavar="ID|NAME...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help=say("states.rm.yes"))
@json_option
def command(names: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """The exit code: 130 where the person said no."""
    return asyncio.run(_remove(names, yes=yes, as_json=as_json))


async def _remove(names: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = {each.id: each for each in [await session.states.find(name) for name in names]}
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError(say("states.rm.needs_yes"))
            for each in found.values():
                note(line(each))
            if not click.confirm(say("states.rm.ask", number=len(found)), err=True):
                return INTERRUPTED
        for each in found.values():
            await session.states.remove(each.id)
            if not as_json:
                note(say("states.rm.done", name=name_of(each)))
    if as_json:
        print_json([record(each) for each in found.values()])
    return OK
