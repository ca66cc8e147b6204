"""`rwkv-chat convs rm`: into the trash for 30 days, or erased at once."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import deleted_option, json_option, line, name_of, print_json, thread_record
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note
from rwkv_chat.explain import INTERRUPTED, OK
from rwkv_chat.library.erase import TRASH_DAYS
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from rwkv_chat.session import Session
    from rwkv_chat.session.state_types import Persona
    from rwkv_chat.session.tune_types import Tune
    from rwkv_chat.transcript import Thread


@click.command("rm", help=say("convs.rm.help", days=TRASH_DAYS))
@click.argument("names", metavar="ID|TITLE...", nargs=-1, required=True)
@click.option("--erase", is_flag=True, help=say("convs.rm.erase"))
@click.option("--with-states", is_flag=True, help=say("convs.rm.with_states"))
@click.option("--restore", is_flag=True, help=say("convs.rm.restore"))
@click.option("--yes", is_flag=True, help=say("convs.rm.yes"))
@deleted_option
@json_option
def command(
    names: tuple[str, ...],
    erase: bool,
    with_states: bool,
    restore: bool,
    yes: bool,
    deleted: bool,
    as_json: bool,
) -> int:
    """The exit code: 130 where the person said no."""
    if erase and restore:
        raise click.UsageError(say("convs.rm.either"))
    if with_states and not erase:
        raise click.UsageError(say("convs.rm.only_erasing"))
    if erase:
        return asyncio.run(_erase(names, yes=yes, with_states=with_states, deleted=deleted, as_json=as_json))
    return asyncio.run(_remove(names, restore=restore, deleted=deleted, as_json=as_json))


async def _remove(names: tuple[str, ...], *, restore: bool, deleted: bool, as_json: bool) -> int:
    async with shelf_opened() as session:
        threads = await _found(session, names, deleted=deleted or restore)
        work = session.chats.restore if restore else session.chats.delete
        await _do(threads, work, "restore" if restore else "delete", as_json=as_json)
    return OK


async def _erase(
    names: tuple[str, ...], *, yes: bool, with_states: bool, deleted: bool, as_json: bool
) -> int:
    """The personas that were made from what is erased go with it, or are named."""
    async with shelf_opened() as session:
        threads = await _found(session, names, deleted=deleted)
        made = {each.id: each for thread in threads for each in await session.convs.made_from(thread.id)}
        tuned = {each.id: each for thread in threads for each in await session.convs.tuned_on(thread.id)}
        if not yes:
            if not _agreed(threads, list(tuned.values())):
                return INTERRUPTED
            with_states = with_states or (bool(made) and _with_states(list(made.values())))
        await _do(threads, partial(session.convs.erase, with_states=with_states), "erase", as_json=as_json)
        if tuned:
            note(say("convs.rm.runs_gone", names=_names(tuned.values())))
        if made:
            note(say(f"convs.rm.personas.{'gone' if with_states else 'left'}", names=_names(made.values())))
        for each in session.convs.asides():
            note(say("convs.rm.aside", path=title(str(each), 300)))
    return OK


async def _found(session: Session, names: tuple[str, ...], *, deleted: bool) -> list[Thread]:
    found = [await session.convs.find(each, deleted=deleted) for each in names]
    return list({each.id: each for each in found}.values())


async def _do(
    threads: Sequence[Thread], work: Callable[[str], Awaitable[object]], what: str, *, as_json: bool
) -> None:
    for each in threads:
        await work(each.id)
        if not as_json:
            note(say(f"convs.rm.done.{what}", name=name_of(each), days=TRASH_DAYS))
    if as_json:
        print_json([thread_record(each) | {"done": what} for each in threads])


def _agreed(threads: Sequence[Thread], tuned: Sequence[Tune]) -> bool:
    """Ask; what would be erased is listed. Raises: UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError(say("convs.rm.needs_yes"))
    for each in threads:
        note(line(each))
    if tuned:
        note(say("convs.rm.runs", names=_names(tuned)))
    return click.confirm(say("convs.rm.ask", number=len(threads)), err=True)


def _with_states(made: Sequence[Persona]) -> bool:
    return click.confirm(say("convs.rm.ask_states", names=_names(made)), err=True)


def _names(made: Iterable[Persona | Tune]) -> str:
    return listed(title(each.name) or each.id[:8] for each in made)
