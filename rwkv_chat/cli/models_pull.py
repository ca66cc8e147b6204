"""`rwkv-chat models pull`: download a model, or go on with a download."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from engine.errors import ModelUnknown
from engine.types import Cancelled, Downloaded, Failed, Progress
from rwkv_chat.cli.interrupts import on_interrupt
from rwkv_chat.cli.models_shared import json_option, print_json, show
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.explain import INTERRUPTED, OK, size
from rwkv_chat.paths import hub_endpoint, hub_token
from rwkv_chat.session import Sources
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.session import Pull, Session

PLACES = ("hub", "modelscope")


@click.command("pull", help=say("models.pull.help"))
@click.argument("name")
@click.option("--from", "place", type=click.Choice(PLACES), default="hub", help=say("models.pull.from"))
@click.option("--endpoint", metavar="URL", default="", help=say("models.pull.endpoint"))
@click.option("--token", "with_token", is_flag=True, help=say("models.pull.token"))
@json_option
def command(name: str, place: str, endpoint: str, with_token: bool, as_json: bool) -> int:
    """The exit code: 130 where the download was paused."""
    token = hub_token() if with_token else None
    if with_token and token is None:
        raise click.UsageError(say("models.pull.no_token"))
    sources = Sources(cast("Any", place), endpoint or hub_endpoint(), token)
    return asyncio.run(_pull(name, sources, as_json=as_json))


async def _pull(name: str, sources: Sources, *, as_json: bool) -> int:
    async with shelf_opened() as session:
        pull = await _begun(session, name, sources)
        if pull.name != name:
            note(say("models.pull.means", name=pull.name))
        with on_interrupt(pull.pause):
            end = await _followed(pull)
    if isinstance(end, Failed):
        raise end.error
    if isinstance(end, Cancelled):
        note(say("models.pull.paused", name=pull.name))
        return INTERRUPTED
    _tell(pull.name, end, as_json=as_json)
    return OK


async def _begun(session: Session, name: str, sources: Sources) -> Pull:
    """A name that the catalogue does not know may be that of a new file: the hub is asked once."""
    try:
        return session.shelf.pull(name, sources)
    except ModelUnknown as unknown:
        try:
            await session.shelf.offers(online=True, sources=sources)
            return session.shelf.pull(name, sources)
        except Exception:
            raise unknown from None


async def _followed(pull: Pull) -> Downloaded | Failed | Cancelled:
    with ProgressLine(pull.name) as line:
        async for event in pull:
            if isinstance(event, Progress):
                show(line, event)
    return await pull.result()


def _tell(name: str, end: Downloaded, *, as_json: bool) -> None:
    if as_json:
        record = {"name": name, "path": end.path, "bytes": end.nbytes, "sha256": end.sha256}
        print_json({**record, "checked_against": end.source})
        return
    result(end.path)
    if Path(end.path).suffix != ".json":
        note(say("models.pull.done", name=name, size=size(end.nbytes)))
    if end.source == "mirror":
        note(say("models.pull.unverified"))
