"""`rwkv-chat restore`: back to a copy of the conversations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.convs_shared import print_json
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import INTERRUPTED, OK
from rwkv_chat.library import backup, restore
from rwkv_chat.paths import Paths, expanded
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from rwkv_chat.library.restore import Restored

NEWEST = "newest"


@click.command("restore", help=say("backup.restore.help"))
@click.argument("name", metavar="FILE|NAME|newest")
@click.option("--yes", is_flag=True, help=say("backup.restore.yes"))
@click.option("--json", "as_json", is_flag=True, help=say("backup.json"))
def command(name: str, yes: bool, as_json: bool) -> int:
    """The exit code: 130 where the person said no."""
    paths = Paths.find().make()
    copy = _named(name, paths.backups)
    messages = f"{restore.check(copy).messages:,}"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(say("backup.restore.needs_yes"))
        if not click.confirm(say("backup.restore.ask", path=copy, messages=messages), err=True):
            return INTERRUPTED
    done = restore.restore(paths.database, copy, paths.backups)
    if as_json:
        print_json(_record(copy, done))
        return OK
    result(say("backup.restore.done", path=copy, messages=messages))
    if done.before:
        note(say("backup.restore.before", path=done.before, name=done.before.name))
    if done.aside:
        note(say("backup.restore.aside", path=done.aside))
    return OK


def _named(name: str, folder: Path) -> Path:
    """Raises: UsageError: there is no such copy."""
    if name == NEWEST and (newest := backup.newest(folder)):
        return newest
    copies = backup.copies(folder)
    known = {each.name: each for each in copies} | {each.stem: each for each in copies}
    path = known.get(name) or expanded(Path(name))
    if not path.exists():
        raise click.UsageError(say("backup.restore.unknown", name=name))
    return path


def _record(copy: Path, done: Restored) -> dict[str, Any]:
    found: dict[str, Path | None] = {"before": done.before, "aside": done.aside}
    return {"restored": str(copy), "messages": done.health.messages} | {
        name: str(path) if path else None for name, path in found.items()
    }
