"""`rwkv-chat convs import`: take in what was exported here, or by another chat program."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import json_option, line, name_of, print_json, thread_record
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.example_words import reported
from rwkv_chat.explain import OK
from rwkv_chat.importers import whatsapp
from rwkv_chat.importers.arrange import Cast
from rwkv_chat.importers.formats import FORMATS, label
from rwkv_chat.importers.forms import Report
from rwkv_chat.importers.logs import Progress
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.session.capsule_files import is_capsule
from rwkv_chat.session.logs import Imported, look
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.session import Session

SHOWN = 60  # characters of a turn


@click.command("import", help=say("convs.import.help"))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help=say("convs.import.format"))
@click.option("--me", metavar="NAME", default="", help=say("convs.import.me"))
@click.option("--assistant", metavar="NAME", default="", help=say("convs.import.assistant"))
@json_option
def command(files: tuple[Path, ...], form: str | None, me: str, assistant: str, as_json: bool) -> int:
    return asyncio.run(_import(files, form or "", Cast(me, assistant), as_json=as_json))


async def _import(files: tuple[Path, ...], form: str, cast: Cast, *, as_json: bool) -> int:
    done: list[Imported] = []
    async with shelf_opened() as session:
        for file in files:
            chosen = await _guessed(file, form, cast)
            done += await _file(session, file, form, chosen)
        unverified = await session.states.capsules.unverified(each.thread.id for each in done)
    if as_json:
        print_json([thread_record(each.thread) | {"new": each.new, "added": each.added} for each in done])
        return OK
    for each in done:
        result(_line(each))
        if each.thread.id in unverified:
            note(say("convs.import.unverified", name=name_of(each.thread)))
    note(
        say("convs.import.done", new=sum(each.new for each in done), known=sum(not each.new for each in done))
    )
    return OK


def _line(done: Imported) -> str:
    row = line(done.thread)
    if done.added:
        return say("convs.import.updated", row=row, number=done.added)
    return row if done.new else say("convs.import.known", row=row)


async def _guessed(file: Path, form: str, cast: Cast) -> Cast:
    """Say what it seems to be; ask who is who where nobody said so and somebody is there to be asked."""
    capsule = not form and await asyncio.to_thread(is_capsule, file)
    if capsule or (found := await look(file, form)) is None:
        return cast
    note(say("logs.guess", path=title(str(file), 300), form=label(found.form)))
    for who, text in found.turns:
        note(say("logs.turn", who=title(who), text=title(text, SHOWN)))
    if found.dates:
        note(say(f"logs.dates.{found.dates}", day=whatsapp.DAY, month=whatsapp.MONTH))
    if found.participants and not (cast.me or cast.assistant or found.owner) and sys.stdin.isatty():
        note(say("logs.who", names=title(listed(found.participants), 300)))
        return Cast(me=await asyncio.to_thread(click.prompt, "", prompt_suffix="> ", err=True))
    return cast


async def _file(session: Session, file: Path, form: str, cast: Cast) -> list[Imported]:
    done: list[Imported] = []
    with ProgressLine(file.name) as progress:
        async for event in session.convs.take_in(file, form, cast):
            if isinstance(event, Progress):
                progress.show("import", event.done, event.total)
            elif isinstance(event, Report):
                progress.clear()
                note(reported(event))
            else:
                done.append(event)
    return done
