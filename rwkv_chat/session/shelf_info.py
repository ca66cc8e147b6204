"""What a model's header and its surroundings tell."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rwkv_chat.session.shelf_types import Info

if TYPE_CHECKING:
    from pathlib import Path

    from engine.weights.archive import Archive
    from rwkv_chat.session.shelf_types import ShelfEntry

TYPES = "types"  # a reader's own count of how its tensors are stored


def info(entry: ShelfEntry, cache: Path) -> Info:
    """Everything but the weights. Raises: EngineError."""
    from engine.weights.archive import open_archive
    from engine.weights.fit import Size, state_bytes
    from engine.weights.layout_files import layouts_of
    from engine.weights.recognise import recognise

    archive = open_archive(entry.path)
    size = Size.of(recognise(str(entry.path), archive.shapes))
    return Info(
        entry=entry,
        files=_sizes(archive.files),
        params=size.params,
        types=_types(archive),
        state_nbytes=state_bytes(size, "fp32"),
        notes={name: text for name, text in archive.notes.items() if name != TYPES},
        converted=_sizes(layouts_of(entry.path, cache)),
    )


def _sizes(files: tuple[Path, ...]) -> tuple[tuple[Path, int], ...]:
    return tuple((each, each.stat().st_size) for each in files)


def _types(archive: Archive) -> tuple[tuple[str, int], ...]:
    """How many tensors are stored as what, most first. Tensors are mapped, none is read."""
    if TYPES in archive.notes:
        pairs = (each.rsplit(" × ", 1) for each in archive.notes[TYPES].split(", "))
        return tuple((name, int(count)) for name, count in pairs)
    from engine.weights.load import TIERS

    names = {dtype: name for name, dtype in TIERS.items()}
    counted = Counter(names.get(archive.get(name).dtype, "other") for name in archive.shapes)
    return tuple(counted.most_common())
