"""The database of conversations and its daily copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import size
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.library.health import Health
    from rwkv_chat.paths import Paths


def check(paths: Paths, _: Path | None) -> Iterator[Finding]:
    from rwkv_chat.library.backup import backups
    from rwkv_chat.library.errors import LibraryError
    from rwkv_chat.library.health import look

    if not paths.database.exists():
        yield Finding.of("database", say("doctor.value.none_yet"))
        return
    try:
        yield from _database(paths.database, look(paths.database))
    except LibraryError as error:
        yield Finding.failed("database", error)
    copies = backups(paths.backups)
    newest = copies[0].name if copies else "-"
    yield Finding.of("copies", say("doctor.value.copies", number=len(copies), newest=newest))


def _database(path: Path, health: Health) -> Iterator[Finding]:
    from rwkv_chat.library.errors import LibraryTooNew

    value = say("doctor.value.database", path=path, size=size(health.nbytes))
    if health.schema > health.known:
        yield Finding.failed("database", LibraryTooNew(str(path), health.schema, health.known))
    elif health.faults:
        yield Finding.of("database", value, "problem", "database", fault=health.faults[0])
    else:
        yield Finding.of("database", value)
    counts = say(
        "doctor.value.counts", threads=health.threads, messages=health.messages, deleted=health.deleted
    )
    yield Finding.of("counts", counts)
