"""`rwkv-chat models rm`: take a model off the shelf; a download or copy of ours is deleted."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.models_shared import find_entry, json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.explain import INTERRUPTED, OK, size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import ShelfEntry


@click.command("rm", help=say("models.rm.help"))
@click.argument("models", metavar="FILE|NAME...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help=say("models.rm.yes"))
@json_option
def command(models: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """The exit code: 130 where the person said no."""
    return asyncio.run(_remove(models, yes=yes, as_json=as_json))


async def _remove(models: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    removed = []
    async with shelf_opened() as session:
        for model in models:
            entry = await find_entry(session, model)
            doomed = await session.shelf.doomed(entry)
            if doomed and not yes and not _agreed(entry, doomed):
                return INTERRUPTED
            await session.shelf.remove(entry, files=True)
            freed = sum(nbytes for _, nbytes in doomed)
            removed.append({"name": entry.name, "path": str(entry.path), "freed_bytes": freed})
            if not as_json:
                _tell(entry, freed)
    if as_json:
        print_json(removed)
    return OK


def _agreed(entry: ShelfEntry, doomed: tuple[tuple[Path, int], ...]) -> bool:
    """Ask; what would be deleted is listed. Raises: UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError(say("models.rm.needs_yes"))
    for path, nbytes in doomed:
        note(say("models.rm.file", path=title(str(path), 300), size=size(nbytes)))
    return click.confirm(say("models.rm.ask", name=title(entry.name)), err=True)


def _tell(entry: ShelfEntry, freed: int) -> None:
    name = title(entry.name)
    note(say("models.rm.freed", name=name, size=size(freed)) if freed else say("models.rm.done", name=name))
    if entry.path.exists():
        note(say("models.rm.stays", path=title(str(entry.path), 300)))
