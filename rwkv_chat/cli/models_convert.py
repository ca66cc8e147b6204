"""`rwkv-chat models convert`: a model in another format, e.g. for llama.cpp and Ollama."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rwkv_chat.cli.models_shared import find, followed, json_option, print_json
from rwkv_chat.cli.numbers import Number
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.options import FILE
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import INTERRUPTED, OK, size
from rwkv_chat.phrases import listed
from rwkv_chat.session import Conversion
from rwkv_chat.session.shelf_convert import FORMATS, convert_state, format_of
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Converted

GGUF = "gguf"


@click.command("convert", help=say("models.convert.help"))
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET", type=FILE)
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), help=say("models.convert.format"))
@click.option(
    "--dtype", default="stored", show_default=True, metavar="TYPE", help=say("models.convert.dtype")
)
@click.option("--adapter", type=FILE, metavar="FILE", help=say("models.convert.adapter"))
@click.option("--alpha", type=Number(), metavar="NUMBER", help=say("models.convert.alpha"))
@click.option("--state", type=FILE, metavar="FILE", help=say("models.convert.state"))
@click.option("--modelfile", is_flag=True, help=say("models.convert.modelfile"))
@click.option("--overwrite", is_flag=True, help=say("models.convert.overwrite"))
@json_option
def command(
    source: str,
    target: Path,
    kind: str | None,
    dtype: str,
    adapter: Path | None,
    alpha: float | None,
    state: Path | None,
    modelfile: bool,
    overwrite: bool,
    as_json: bool,
) -> int:
    wish = Conversion(kind or by_suffix(target), dtype, adapter, alpha, modelfile, overwrite, state)
    if modelfile and wish.format != GGUF:
        raise click.UsageError(say("models.convert.no_modelfile"))
    converted = asyncio.run(_convert(source, target, wish))
    if converted is None:
        return INTERRUPTED
    made = converted.modelfile
    if as_json:
        record = {"path": str(converted.path), "format": wish.format, "bytes": converted.nbytes}
        print_json({**record, "modelfile": str(made) if made else None})
        return OK
    result(str(converted.path))
    note(say("models.convert.done", size=size(converted.nbytes)))
    if made is not None:
        note(say("models.convert.ollama", path=made))
    return OK


def by_suffix(target: Path) -> str:
    """The format that a file of this name usually has. Raises: UsageError."""
    found = format_of(target)
    if found is None:
        raise click.UsageError(say("models.convert.no_format", suffixes=listed(FORMATS.values())))
    return found


async def _convert(source: str, target: Path, wish: Conversion) -> Converted | None:
    async with shelf_opened() as session:
        path = await find(session, source)
        if (made := await asyncio.to_thread(convert_state, path, target, wish)) is not None:
            return made
        return await followed(target.name, session.shelf.convert(path, target, wish))
