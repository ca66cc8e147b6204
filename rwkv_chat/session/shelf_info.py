"""What a model's header and its surroundings tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.session.shelf_types import Info

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session.shelf_types import ShelfEntry


def info(entry: ShelfEntry, cache: Path) -> Info:
    """Everything but the weights; imports no torch. Raises: EngineError."""
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
        types=tuple(archive.types.items()),
        state_nbytes=state_bytes(size, "fp32"),
        notes=archive.notes,
        converted=_sizes(layouts_of(entry.path, cache)),
    )


def _sizes(files: tuple[Path, ...]) -> tuple[tuple[Path, int], ...]:
    return tuple((each, each.stat().st_size) for each in files)
