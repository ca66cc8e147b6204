"""`rwkv-chat convs rm`: into the trash for 30 days, or erased at once."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import deleted_option, json_option, line, name_of, print_json, thread_record
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.explain import INTERRUPTED, OK
from rwkv_chat.library.erase import TRASH_DAYS
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwkv_chat.transcript import Thread


@click.command("rm", help=say("convs.rm.help", days=TRASH_DAYS))
@click.argument("names", metavar="ID|TITLE...", nargs=-1, required=True)
@click.option("--erase", is_flag=True, help=say("convs.rm.erase"))
@click.option("--restore", is_flag=True, help=say("convs.rm.restore"))
@click.option("--yes", is_flag=True, help=say("convs.rm.yes"))
@deleted_option
@json_option
def command(
    names: tuple[str, ...], erase: bool, restore: bool, yes: bool, deleted: bool, as_json: bool
) -> int:
    """The exit code: 130 where the person said no."""
    if erase and restore:
        raise click.UsageError(say("convs.rm.either"))
    what = "erase" if erase else "restore" if restore else "delete"
    return asyncio.run(_remove(names, what, yes=yes, deleted=deleted or restore, as_json=as_json))


async def _remove(names: tuple[str, ...], what: str, *, yes: bool, deleted: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        found = [await session.convs.find(each, deleted=deleted) for each in names]
        threads = list({each.id: each for each in found}.values())
        if what == "erase" and not yes and not _agreed(threads):
            return INTERRUPTED
        work = {
            "erase": session.convs.erase,
            "restore": session.chats.restore,
            "delete": session.chats.delete,
        }
        for each in threads:
            await work[what](each.id)
            if not as_json:
                note(say(f"convs.rm.done.{what}", name=name_of(each), days=TRASH_DAYS))
    if as_json:
        print_json([thread_record(each) | {"done": what} for each in threads])
    return OK


def _agreed(threads: Sequence[Thread]) -> bool:
    """Ask; what would be erased is listed. Raises: UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError(say("convs.rm.needs_yes"))
    for each in threads:
        note(line(each))
    return click.confirm(say("convs.rm.ask", number=len(threads)), err=True)
