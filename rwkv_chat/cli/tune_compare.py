"""`rwkv-chat tune compare`: the model alone and the tuned one, in numbers, side by side, and blind."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.convs_shared import json_option, print_json
from rwkv_chat.cli.opening import opened
from rwkv_chat.cli.options import sampling_of, sampling_options
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.tune_shared import found, perplexity
from rwkv_chat.explain import OK
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rwkv_chat.session import Session
    from rwkv_chat.session.tune_types import Count, Losses, Moment, Tune

SIDES = ("base", "tuned")


@click.command("compare", help=say("tune.compare.help"))
@click.argument("name", metavar="ID|NAME")
@click.option("--prompt", default="", metavar="TEXT", help=say("tune.compare.prompt"))
@click.option("--blind", is_flag=True, help=say("tune.compare.blind"))
@sampling_options
@json_option
def command(name: str, prompt: str, blind: bool, as_json: bool, **options: Any) -> int:
    if blind and (as_json or not sys.stdin.isatty()):
        raise click.UsageError(say("tune.compare.needs_person"))
    return asyncio.run(_compare(name, prompt, options, blind=blind, as_json=as_json))


async def _compare(name: str, prompt: str, options: Mapping[str, Any], *, blind: bool, as_json: bool) -> int:
    tune = await found(name)
    replies: dict[str, str] = {}
    async with opened(tune.model, keep=True) as session:
        losses = session.tunes.losses(tune)
        if prompt:
            replies = await _beside(session, tune, prompt, options)
        if blind:
            await _judge(session, tune)
        count = await session.tunes.count(tune.id)
    if as_json:
        print_json(_record(losses, replies, count))
    else:
        _print(losses, replies, count)
    return OK


async def _beside(session: Session, tune: Tune, prompt: str, options: Mapping[str, Any]) -> dict[str, str]:
    replies: dict[str, str] = dict.fromkeys(SIDES, "")
    params = sampling_of(options, session.sampling)
    async for each in session.tunes.beside(tune.id, prompt, params):
        replies[each.side] += each.text
    return replies


async def _judge(session: Session, tune: Tune) -> None:
    """One moment after the other; an empty answer ends it."""
    async for moment in session.tunes.moments(tune.id):
        _show(moment)
        told = await asyncio.to_thread(click.prompt, say("tune.compare.which"), default="", err=True)
        if str(told).strip() not in ("1", "2", "3"):
            return
        side = await session.tunes.judge(tune.id, moment.index, int(told) - 1)
        note(say(f"tune.compare.was.{side}"))


def _show(moment: Moment) -> None:
    note(say("tune.compare.moment", number=moment.index + 1, before=moment.before))
    for number, answer in enumerate(moment.answers, 1):
        note(say("tune.compare.answer", number=number, text=answer))


def _print(losses: Losses, replies: Mapping[str, str], count: Count) -> None:
    base, tuned = perplexity(losses.base), perplexity(losses.tuned)
    result(say("tune.compare.losses", base=base, tuned=tuned))
    for side, text in replies.items():
        result(say(f"tune.compare.side.{side}", text=text.strip()))
    if count.judged:
        numbers = {"real": count.real, "base": count.base, "tuned": count.tuned}
        result(say("tune.compare.count", judged=count.judged, **numbers))


def _record(losses: Losses, replies: Mapping[str, str], count: Count) -> dict[str, Any]:
    chosen = {"real": count.real, "base": count.base, "tuned": count.tuned, "moments": count.moments}
    loss = {"base": losses.base, "tuned": losses.tuned}
    return {"loss": loss, "replies": dict(replies), "chosen": chosen}
