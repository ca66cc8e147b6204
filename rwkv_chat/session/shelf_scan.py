"""Looking for models in a folder: bounded in depth and number, hidden files left out, no loop followed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rwkv_chat.session.shelf_headers import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEPTH = 8  # an LM Studio tree is 2 deep, a hub cache 3
MOST_FOLDERS = 20_000
MOST_CANDIDATES = 2_000
MODEL_FOLDER_SIGN = "config.json"


def candidates(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Files that may be weights, by their suffix, and folders that may be a model, in order of their names.

    A folder that may be a model is not looked into any further. At most `MOST_CANDIDATES` come out.
    """
    for number, path in enumerate(_walk(root, depth, _Seen())):
        if number == MOST_CANDIDATES:
            return
        yield path


def weights_in(folder: Path) -> list[Path]:
    """Its files that may be weights."""
    return [each for each in _children(folder) if each.suffix.lower() in SUFFIXES and not _is_dir(each)]


class _Seen:
    """The folders entered so far, so that links in a circle end."""

    def __init__(self) -> None:
        self._places: set[tuple[int, int]] = set()

    def enter(self, folder: Path) -> bool:
        """Whether the folder is new, may be entered, and not one too many."""
        with suppress(OSError):
            stat = folder.stat()
            place = stat.st_dev, stat.st_ino
            if place not in self._places and len(self._places) < MOST_FOLDERS:
                self._places.add(place)
                return True
        return False


def _walk(folder: Path, depth: int, seen: _Seen) -> Iterator[Path]:
    if not seen.enter(folder):
        return
    children = _children(folder)
    if any(each.name == MODEL_FOLDER_SIGN for each in children) and _has_weights(children):
        yield folder
        return
    for child in children:
        if _is_dir(child):
            if depth > 0:
                yield from _walk(child, depth - 1, seen)
        elif child.suffix.lower() in SUFFIXES:
            yield child


def _children(folder: Path) -> list[Path]:
    """What is not hidden; nothing where the folder may not be read."""
    try:
        return sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError:
        return []


def _has_weights(children: list[Path]) -> bool:
    return any(each.suffix.lower() in SUFFIXES for each in children)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link in a circle, on some systems
        return False
