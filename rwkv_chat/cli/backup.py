"""`rwkv-chat backup`: a copy of the conversations, now."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.convs_shared import print_json
from rwkv_chat.cli.output import note, result
from rwkv_chat.dates import date_of
from rwkv_chat.explain import OK, size
from rwkv_chat.library import backup, health
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("backup", help=say("backup.help"))
@click.option("--to", metavar="FILE", type=click.Path(path_type=Path), help=say("backup.to"))
@click.option("--list", "show", is_flag=True, help=say("backup.list"))
@click.option("--json", "as_json", is_flag=True, help=say("backup.json"))
def command(to: Path | None, show: bool, as_json: bool) -> int:
    paths = Paths.find().make()
    if show:
        return _list(backup.copies(paths.backups), as_json=as_json)
    if to is not None:
        _check_target(to)
    connect(paths.database).close()  # a library that is there, and one that can be read
    copy = backup.make(paths.database, paths.backups) if to is None else backup.copy_to(paths.database, to)
    messages = health.look(copy).messages
    if as_json:
        print_json(record(copy) | {"messages": messages})
    else:
        result(say("backup.done", path=copy, messages=f"{messages:,}", size=size(copy.stat().st_size)))
    return OK


def _check_target(to: Path) -> None:
    """Raises: UsageError."""
    if os.path.lexists(to):
        raise click.UsageError(say("backup.in_the_way", path=to))
    if not to.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(to.absolute().parent))


def _list(copies: Sequence[Path], *, as_json: bool) -> int:
    if as_json:
        print_json([record(each) for each in copies])
        return OK
    for each in copies:
        stat = each.stat()
        result(say("backup.row", name=each.name, date=date_of(stat.st_mtime), size=size(stat.st_size)))
    if not copies:
        note(say("backup.none"))
    return OK


def record(copy: Path) -> dict[str, Any]:
    stat = copy.stat()
    return {"name": copy.name, "path": str(copy), "bytes": stat.st_size, "made": stat.st_mtime}
