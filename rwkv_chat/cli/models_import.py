"""`rwkv-chat models import`: take files or folders onto the shelf."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from engine.types import Progress
from rwkv_chat.cli.models_shared import entry_record, json_option, print_json, show
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.options import FILE
from rwkv_chat.cli.output import note, result
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.explain import FAILURE, OK, sentence
from rwkv_chat.families import families
from rwkv_chat.plain_text import title
from rwkv_chat.templates import names
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rwkv_chat.session import Found, Session


@click.command("import", help=say("models.import.help"))
@click.argument("paths", nargs=-1, required=True, type=FILE)
@click.option("--copy", is_flag=True, help=say("models.import.copy"))
@click.option(
    "--family",
    type=click.Choice(sorted({each.name for each in families()})),
    metavar="NAME",
    help=say("models.import.family"),
)
@click.option("--template", type=click.Choice(names()), metavar="NAME", help=say("models.import.template"))
@json_option
def command(
    paths: tuple[Path, ...], copy: bool, family: str | None, template: str | None, as_json: bool
) -> int:
    """The exit code: 1 where no model was found."""
    return asyncio.run(_import(paths, copy=copy, chosen=(family or "", template or ""), as_json=as_json))


async def _import(paths: tuple[Path, ...], *, copy: bool, chosen: tuple[str, str], as_json: bool) -> int:
    found: list[Found] = []
    async with shelf_opened() as session:
        for path in paths:
            async for each in _looked(session, path, copy=copy):
                if each.entry is not None and any(chosen):
                    await session.shelf.choose(each.entry.path, *chosen)
                if not as_json:
                    _tell(each)
                found.append(each)
    models = [each for each in found if each.entry is not None]
    if as_json:
        print_json([_record(each) for each in found])
    elif not models and not any(each.kind == "damaged" for each in found):
        note(say("models.import.nothing"))
    return OK if models else FAILURE


async def _looked(session: Session, path: Path, *, copy: bool) -> AsyncIterator[Found]:
    with ProgressLine(path.name) as line:
        async for event in session.shelf.import_(path, copy=copy):
            if isinstance(event, Progress):
                show(line, event)
            else:
                line.clear()
                yield event


def _tell(found: Found) -> None:
    path = title(str(found.path), 300)
    if found.entry is not None:
        kind = say("models.import.model", name=title(found.entry.name))
        result(say("models.import.row", kind=kind, path=title(str(found.entry.path), 300)))
        if found.entry.error is not None:
            note(sentence(found.entry.error))
        return
    result(
        say("models.import.row", kind=say(f"models.import.kind.{found.kind.replace('-', '_')}"), path=path)
    )
    if found.error is not None and found.kind in ("unsupported", "damaged"):
        note(sentence(found.error))


def _record(found: Found) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "kind": found.kind,
        "error": sentence(found.error) if found.error else "",
        "model": entry_record(found.entry) if found.entry else None,
    }
