"""Copying a model into our folder: beside its place first, synced, and moved there as a whole."""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from engine.durable import into_place, sync_folder
from engine.errors import DiskFailed, DiskFull, DownloadBusy
from engine.types import Progress
from engine.weights.partial import lock
from rwkv_chat.paths import private_file, private_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from rwkv_chat.session.steps import Stop

BLOCK = 8 << 20
_STAGE, _LOCK = ".part", ".lock"


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
        raise DiskFailed(str(error.filename or folder), error.strerror or str(error)) from error


def _copied(
    source: Path, companions: tuple[Path, ...], folder: Path, stop: Stop
) -> Generator[Progress | Path, None, None]:
    alone = source.is_file() and not companions
    files = _files(source, companions)
    total = sum(each.stat().st_size for each in files)
    sweep(folder)
    if (free := shutil.disk_usage(folder).free) < total:
        raise DiskFull(str(folder), total, free)
    with _reserved(folder, source.name if alone or source.is_dir() else source.stem) as (target, stage):
        private_folder(stage)
        for progress in _copy_all(files, stage, total):
            if stop():
                return
            yield progress
        sync_folder(stage)  # the files are on the disk, their names in it not yet
        into_place(stage / source.name if alone else stage, target)
    yield target if alone or source.is_dir() else target / source.name


def _files(source: Path, companions: tuple[Path, ...]) -> list[Path]:
    """A folder's own files (not those below it), or the file; and what belongs beside it."""
    if source.is_dir():
        own = sorted(each for each in source.iterdir() if each.is_file() and not each.name.startswith("."))
    else:
        own = [source]
    return [*own, *(each for each in companions if each not in own)]


@contextmanager
def _reserved(folder: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """A path in `folder` where nothing stands, `name`, else with a number before its suffix; and the folder
    in which it is put together. No other program gets either meanwhile; at the end the latter is gone.
    """
    for target in _names(folder, name):
        stage = folder / f".{target.name}{_STAGE}"
        with suppress(DownloadBusy), ExitStack() as held:  # busy: another program is copying to that name
            held.enter_context(lock(stage.with_name(stage.name + _LOCK), target))
            held.callback(shutil.rmtree, stage, ignore_errors=True)
            shutil.rmtree(stage, ignore_errors=True)  # what a killed program left there
            if not os.path.lexists(target):
                yield target, stage
                return


def _names(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name
    stem, dot, suffix = name.rpartition(".")
    for number in itertools.count(2):
        yield folder / (f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}")


def sweep(folder: Path) -> None:
    """Deletes what killed programs left of their copies; the living hold their locks."""
    for mark in list(folder.glob(f".*{_STAGE}{_LOCK}")):
        with suppress(OSError, DownloadBusy), lock(mark, mark):
            shutil.rmtree(mark.with_name(mark.name.removesuffix(_LOCK)), ignore_errors=True)


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
