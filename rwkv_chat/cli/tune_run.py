"""`rwkv-chat tune run`: look on while a run goes on; begin it where it does not."""

from __future__ import annotations

import asyncio

import click

from rwkv_chat.cli.interrupts import on_interrupt
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.cli.tune_shared import command_line, follow, name_of
from rwkv_chat.texts import say


@click.command("run", help=say("tune.run.help"))
@click.argument("name", metavar="ID|NAME")
def command(name: str) -> int:
    return asyncio.run(_run(name))


async def _run(name: str) -> int:
    """Ctrl-C stops the run with a checkpoint; a second one leaves it alone."""
    async with shelf_opened() as session:
        tune = await session.tunes.find(name)
        if not tune.running:
            tune = await session.tunes.resume(tune.id)
        note(command_line(tune))
        with on_interrupt(lambda: session.tunes.runs.stop(tune.id)) as interrupt:
            code = await follow(session, tune)
        if interrupt.number:
            note(say("tune.stop.done", name=name_of(tune)))
        return interrupt.code or code
