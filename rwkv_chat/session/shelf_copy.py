"""Copying a model into our folder: beside its place first, synced, and moved there as a whole."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, DiskFull
from engine.types import Progress
from rwkv_chat.paths import private_file, private_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from rwkv_chat.session.steps import Stop

BLOCK = 8 << 20


def copy_model(
    source: Path, companions: tuple[Path, ...], folder: Path, stop: Stop
) -> Generator[Progress | Path, None, None]:
    """`source` (a file or a folder) and what belongs beside it → `folder`: Progress("copy", bytes, of all),
    at the end the copy's path. Nothing that stands there is replaced: another name is taken.

    Raises:
        DiskFull: there is not enough room; nothing was written.
        DiskFailed: reading or writing failed; nothing is left behind.
    """
    try:
        yield from _copied(source, companions, folder, stop)
    except OSError as error:
        raise DiskFailed(str(error.filename or source), error.strerror or str(error)) from error


def _copied(
    source: Path, companions: tuple[Path, ...], folder: Path, stop: Stop
) -> Generator[Progress | Path, None, None]:
    alone = source.is_file() and not companions
    files = _files(source, companions)
    total = sum(each.stat().st_size for each in files)
    if (free := shutil.disk_usage(folder).free) < total:
        raise DiskFull(str(folder), total, free)
    target = _free_name(folder, source.name if alone or source.is_dir() else source.stem)
    stage = folder / f".{target.name}.part"
    try:
        private_folder(stage)
        for progress in _copy_all(files, stage, total):
            if stop():
                return
            yield progress
        (stage / source.name if alone else stage).replace(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    _sync_folder(folder)
    yield target if alone or source.is_dir() else target / source.name


def _files(source: Path, companions: tuple[Path, ...]) -> list[Path]:
    """A folder's own files (not those below it), or the file; and what belongs beside it."""
    if source.is_dir():
        own = sorted(each for each in source.iterdir() if each.is_file() and not each.name.startswith("."))
    else:
        own = [source]
    return [*own, *(each for each in companions if each not in own)]


def _free_name(folder: Path, name: str) -> Path:
    """A path in `folder` where nothing stands: `name`, else with a number before its suffix."""
    target, number = folder / name, 2
    while target.exists() or target.is_symlink():
        stem, dot, suffix = name.rpartition(".")
        target = folder / (f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}")
        number += 1
    return target


def _copy_all(files: Iterable[Path], stage: Path, total: int) -> Generator[Progress, None, None]:
    done = 0
    for file in files:
        target = stage / file.name
        private_file(target)
        with file.open("rb") as reading, target.open("r+b") as writing:
            while block := reading.read(BLOCK):
                writing.write(block)
                done += len(block)
                yield Progress("copy", done, total)
            writing.flush()
            os.fsync(writing.fileno())


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a power cut; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
