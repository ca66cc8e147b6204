"""Deleting a model that we downloaded or copied, with what we made from it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from engine.errors import DiskFailed

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session.shelf_types import ShelfEntry


def doomed(entry: ShelfEntry, folder: Path, cache: Path) -> tuple[tuple[Path, int], ...]:
    """What would be deleted with a model, and its bytes: layouts made from it, and its own files where they
    are ours (`folder` is where those lie).
    """
    from engine.weights.layout_files import layouts_of

    made = layouts_of(entry.path, cache)
    own = (_top(entry.path, folder),) if entry.ours and entry.path.is_relative_to(folder) else ()
    return tuple((each, _nbytes(each)) for each in (*own, *made) if each.exists())


def delete(entry: ShelfEntry, folder: Path, cache: Path) -> None:
    """Delete `doomed`. Raises: DiskFailed."""
    try:
        for path, _ in doomed(entry, folder, cache):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise DiskFailed(str(error.filename or entry.path), error.strerror or str(error)) from error


def _top(path: Path, folder: Path) -> Path:
    """What lies directly in our folder: the file, or the folder that its copy got."""
    return folder / path.relative_to(folder).parts[0]


def _nbytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(each.stat().st_size for each in files if each.is_file())
