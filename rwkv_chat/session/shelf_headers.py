"""What lies at a path, told from its header alone: no weights are read.

Reading a header may import torch, so nothing here is called before the first frame, or on the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, EngineError, ModelNotFound, UnsupportedFormat

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import ModelSpec
    from rwkv_chat.session.shelf_types import FoundKind

SUFFIXES = frozenset({".pth", ".pt", ".safetensors", ".st", ".gguf", ".bin"})


@dataclass(frozen=True, slots=True)
class Header:
    """What an archive says of itself; the fields are those of `engine.weights.archive.Archive`."""

    format: str
    spec: ModelSpec
    files: tuple[Path, ...]
    notes: dict[str, str]


def read_header(path: Path) -> Header:
    """The model at `path`, a file or a folder. Raises: EngineError."""
    from engine.weights.archive import open_archive
    from engine.weights.recognise import recognise

    try:
        archive = open_archive(path)
        spec = recognise(str(path), archive.shapes)
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error
    return Header(archive.format, spec, archive.files, archive.notes)


def measure(path: Path) -> tuple[int, str]:
    """Bytes of the weights at `path`, and a mark that changes when they do.

    Raises:
        ModelNotFound: nothing is there.
        DiskFailed: it is there and cannot be looked at.
    """
    try:
        stats = [each.stat() for each in _files(path)]
    except FileNotFoundError as error:
        raise ModelNotFound(str(path)) from error
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error
    nbytes, newest = sum(each.st_size for each in stats), max((each.st_mtime_ns for each in stats), default=0)
    return nbytes, f"{nbytes}:{newest}:{len(stats)}"


def _files(path: Path) -> list[Path]:
    """The file itself, or those in a folder."""
    return [each for each in path.iterdir() if each.is_file()] if path.is_dir() else [path]


def remembered_id(path: Path, cache: Path) -> str:
    """The id of weights that were hashed before and have not changed since; "" where they were not."""
    from engine.store.fingerprint import known, mark

    try:
        return known(mark(path), cache) or ""
    except (EngineError, OSError):
        return ""


def kind_of(path: Path, error: EngineError) -> FoundKind:
    """What lies at `path`, which was refused as a model with `error`."""
    from engine.weights.kinds import kind_of as told_by_names

    try:
        kind = told_by_names(path)
    except (EngineError, OSError):
        kind = "model"
    if kind != "model":
        return kind
    return "unsupported" if isinstance(error, UnsupportedFormat) else "damaged"


def label(path: Path) -> str:
    """A name for people: the file's without its suffix, a folder's whole (it may hold a dot: "1.5B")."""
    if path.parent.name == "snapshots":  # a hub cache names the folder after the commit
        return path.parent.parent.name.rpartition("--")[2] or path.name
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
