"""What the commands of `rwkv-chat models` share: the session, finding a model, values for --json."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import ModelUnknown
from rwkv_chat.cli.output import result
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.explain import sentence
from rwkv_chat.paths import expanded
from rwkv_chat.session.shelf_names import resolve
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.types import Progress
    from engine.weights.fit import Fit
    from rwkv_chat.session import Session, ShelfEntry

json_option = click.option("--json", "as_json", is_flag=True, help=say("models.json"))


async def find(session: Session, text: str) -> Path:
    """The weights that are meant: a path, or a name on the shelf. Raises: see `shelf_names.resolve`."""
    return await asyncio.to_thread(resolve, text, session.paths)


async def find_entry(session: Session, text: str) -> ShelfEntry:
    """The entry that is meant, also by the path of weights that are not there any more.

    Raises:
        ModelUnknown: it is not on the shelf.
        ModelNotFound, ModelAmbiguous.
    """
    entries = await session.shelf.entries()
    path = await asyncio.to_thread(expanded(Path(text)).absolute)
    entry = next((each for each in entries if each.path == path), None)
    if entry is None:
        path = await find(session, text)
        entry = next((each for each in entries if each.path == path), None)
    if entry is None:
        raise ModelUnknown(text, tuple(each.name for each in entries))
    return entry


async def followed(name: str, events: AsyncIterator[Any]) -> Any:
    """The last event of a long task, its progress shown on the way; None where it gave none."""
    from engine.types import Progress

    last = None
    with ProgressLine(name) as line:
        async for event in events:
            if isinstance(event, Progress):
                show(line, event)
            else:
                last = event
    return last


def show(line: ProgressLine, event: Progress) -> None:
    line.show(event.task, event.done, event.total)


def print_json(value: object) -> None:
    result(json.dumps(value, indent=2, ensure_ascii=False))


# ------------------------------------------------------------------------------------------------ values


def entry_record(entry: ShelfEntry, in_use: Path | None = None) -> dict[str, Any]:
    spec = entry.spec
    return {
        "name": entry.name,
        "path": str(entry.path),
        "source": entry.source,
        "in_use": entry.path == in_use,
        "format": entry.format,
        "arch": spec.arch if spec else "",
        "bytes": entry.nbytes,
        "id": entry.id,
        "catalogue_name": entry.offer,
        "checked_against": entry.checked,
        "missing": entry.missing,
        "error": sentence(entry.error) if entry.error else "",
        "fits": [fit_record(each) for each in entry.fits],
        "added": entry.added,
        "verified": entry.verified,
    }


def fit_record(fit: Fit) -> dict[str, Any]:
    return {**asdict(fit), "needed": fit.needed, "fits": fit.fits}
