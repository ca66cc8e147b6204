"""`rwkv-chat convs unpack`: a conversation with its memory, from a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.convs_shared import json_option, line, print_json, thread_record
from rwkv_chat.cli.opening import opened, shelf_opened
from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.states_shared import confirmed_record, last, tell_confirmed
from rwkv_chat.explain import FAILURE, OK
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.session import Confirmed
    from rwkv_chat.session.capsules import Unpacked


@click.command("unpack", help=say("convs.unpack.help"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--confirm", is_flag=True, help=say("convs.unpack.confirm"))
@model_option
@json_option
def command(file: Path, confirm: bool, model: Path | None, as_json: bool) -> int:
    return asyncio.run(_unpack(file, model, confirm=confirm, as_json=as_json))


async def _unpack(file: Path, model: Path | None, *, confirm: bool, as_json: bool) -> int:
    found: Confirmed | None = None
    async with opened(model, keep=True) if confirm else shelf_opened() as session:
        taken = await session.states.capsules.import_(file)
        if confirm and taken.thread.initial:
            found = await last(session.states.capsules.confirm(taken.thread.id), taken.thread.title)
    if as_json:
        checked: dict[str, Any] = confirmed_record(found) if found else {}
        print_json(thread_record(taken.thread) | {"new": taken.new, "states": taken.states} | checked)
    else:
        _tell(taken, found)
    return FAILURE if found is not None and not found.agrees else OK


def _tell(taken: Unpacked, found: Confirmed | None) -> None:
    row = line(taken.thread)
    result(row if taken.new else say("convs.import.known", row=row))
    if found is not None:
        tell_confirmed(found)
    elif taken.thread.initial:
        note(say("convs.unpack.unverified", states=taken.states, model=taken.model_name))
