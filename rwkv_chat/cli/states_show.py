"""`rwkv-chat states show`: what a persona is, and how much each layer of its state remembers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from engine.errors import StateMissing
from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.states_shared import name_of, record, state_line
from rwkv_chat.cli.table import print_columns
from rwkv_chat.explain import OK
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from engine.types import StateProfile
    from rwkv_chat.session import Persona


@click.command("show", help=say("states.show.help"))
@click.argument("name", metavar="ID|NAME")
@click.option("--norms", is_flag=True, help=say("states.show.norms"))
@json_option
def command(name: str, norms: bool, as_json: bool) -> int:
    return asyncio.run(_show(name, norms=norms, as_json=as_json))


async def _show(name: str, *, norms: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = await session.states.find(name)
        profile = None
        if norms:
            try:
                profile = await session.states.inspect(found.id)
            except StateMissing:
                note(say("states.show.not_here"))
    if as_json:
        print_json(record(found) | ({"profile": asdict(profile)} if profile else {}))
        return OK
    _print(found)
    if profile is not None:
        print_norms(profile)
    return OK


def _print(found: Persona) -> None:
    result(name_of(found))
    for each in (found.description, listed(found.tags)):
        if each:
            result(f"  {clean(each)}")
    for state in found.states:
        result(f"  {state_line(state)}")
    if found.text:
        result(f"\n{clean(found.text)}")


def print_norms(profile: StateProfile) -> None:
    """A row for each layer: the smallest, the mean and the largest norm of its heads."""
    headings = [say(f"states.column.{each}") for each in ("layer", "least", "mean", "most")]
    print_columns(headings, [_row(at, row) for at, row in enumerate(profile.norms)])


def _row(layer: int, heads: tuple[float, ...]) -> list[str]:
    if not heads:
        return [str(layer), "", "", ""]
    values = (min(heads), sum(heads) / len(heads), max(heads))
    return [str(layer), *(f"{each:.3g}" for each in values)]
