"""`rwkv-chat convs export`: conversations as a file for people or for other programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.convs_shared import deleted_option, json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import OK
from rwkv_chat.exporters import EXPORTERS
from rwkv_chat.exporters.file import form_of
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable


@click.command("export", help=say("convs.export.help"))
@click.argument("names", metavar="ID|TITLE...", nargs=-1)
@click.option("--all", "every", is_flag=True, help=say("convs.export.all"))
@click.option("--format", "form", type=click.Choice(list(EXPORTERS)), help=say("convs.export.format"))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help=say("convs.export.out")
)
@click.option("--overwrite", is_flag=True, help=say("convs.export.overwrite"))
@deleted_option
@json_option
def command(
    names: tuple[str, ...],
    every: bool,
    form: str | None,
    out: Path | None,
    overwrite: bool,
    deleted: bool,
    as_json: bool,
) -> int:
    if bool(names) == every:
        raise click.UsageError(say("convs.export.which"))
    if as_json and out is None:
        raise click.UsageError(say("convs.export.json_needs_out"))
    if out is not None and out.exists() and not overwrite:
        raise click.UsageError(say("convs.export.exists", path=title(str(out), 300)))
    chosen = form or _form_of(out)
    done = asyncio.run(_export(names, chosen, out, deleted=deleted))
    if as_json:
        print_json({"path": str(out), "format": chosen, "conversations": done})
    elif out is not None:
        note(say("convs.export.done", number=done, path=title(str(out), 300)))
    return OK


def _form_of(out: Path | None) -> str:
    """By the file's suffix; Markdown on stdout."""
    if out is None:
        return "markdown"
    if (found := form_of(out)) is None:
        suffixes = listed(row.suffix for row in EXPORTERS.values())
        raise click.UsageError(say("convs.export.no_format", suffixes=suffixes))
    return found


async def _export(names: tuple[str, ...], form: str, out: Path | None, *, deleted: bool) -> int:
    async with shelf_opened() as session:
        found = [await session.convs.find(each, deleted=deleted) for each in names]
        threads = list(
            dict.fromkeys(each.id for each in found or await session.convs.listed(deleted=deleted))
        )
        if out is not None:
            await session.convs.export(threads, form, out)
        else:
            await asyncio.to_thread(_print, session.convs.pieces(threads, form))
    return len(threads)


def _print(pieces: Iterable[str]) -> None:
    for each in pieces:
        result(each, end="")
