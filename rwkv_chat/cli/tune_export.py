"""`rwkv-chat tune export`: what a run has made, as files for other programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from engine.types import Progress
from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.cli.states_shared import shared_record, tell_shared
from rwkv_chat.cli.tune_shared import name_of
from rwkv_chat.explain import OK
from rwkv_chat.texts import say


@click.command("export", help=say("tune.export.help"))
@click.argument("name", metavar="ID|NAME")
@click.argument("target", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--merged", is_flag=True, help=say("tune.export.merged"))
@click.option("--dtype", default="stored", metavar="DTYPE", help=say("tune.export.dtype"))
@json_option
def command(name: str, target: Path, merged: bool, dtype: str, as_json: bool) -> int:
    return asyncio.run(_export(name, target, dtype, merged=merged, as_json=as_json))


async def _export(name: str, target: Path, dtype: str, *, merged: bool, as_json: bool) -> int:
    shared: Any = None
    async with shelf_opened() as session:
        tune = await session.tunes.find(name)
        with ProgressLine(name_of(tune)) as shown:
            what = "merged" if merged else "result"
            async for event in session.tunes.export(tune.id, target, what, dtype):
                if isinstance(event, Progress):
                    shown.show(event.task, event.done, event.total)
                else:
                    shared = event
    if as_json:
        print_json(shared_record(shared))
    else:
        tell_shared(shared)
    return OK
