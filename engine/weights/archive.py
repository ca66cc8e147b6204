"""Opens a weights file as named tensors that are read when asked for; one reader per container format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, ModelNotFound, UnsupportedFormat, WeightsCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Archive:
    """A weights file: shapes are known, values are mapped from the disk and read on use.

    Attributes:
        shapes: by the names in the file.
        get: the tensor of a name, on the CPU, backed by the file: copy it before the file may change.
        nbytes: bytes of all tensors as stored.
        verify: compares the file with its own checksums, if it has any, yielding after every piece read.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    get: Callable[[str], Tensor]
    nbytes: int
    verify: Callable[[], Iterator[None]]


def _open_pth(path: Path) -> Archive:
    from engine.weights.pth import open_pth

    return open_pth(path)


def _open_safetensors(path: Path) -> Archive:
    from engine.weights.safetensors_file import open_safetensors

    return open_safetensors(path)


# container format → reader; `_kind` tells which
READERS: dict[str, Callable[[Path], Archive]] = {
    "pth": _open_pth,
    "safetensors": _open_safetensors,
}

# a file's first bytes → a hint for formats that are known and not read
_KNOWN_STRANGERS = {
    b"GGUF": "gguf",
    b"\x80\x02": "legacy-pickle",  # torch.save before 1.6: no zip, cannot be mapped
    b"\x80\x03": "legacy-pickle",
    b"\x80\x04": "legacy-pickle",
    b"<!DOCTYPE": "html",
    b"<html": "html",
    b"version https://git-lfs": "git-lfs-pointer",
}


def _kind(path: Path) -> str:
    """A key of `READERS`, told from the first bytes; the name decides only where they are damaged."""
    with path.open("rb") as file:
        start = file.read(32)
    if start.startswith(b"PK\x03\x04"):
        return "pth"
    for magic, hint in _KNOWN_STRANGERS.items():
        if start.startswith(magic):
            raise UnsupportedFormat(str(path), hint)
    if start[8:9] == b"{" or path.suffix in {".safetensors", ".st"}:
        return "safetensors"
    if path.suffix in {".pth", ".pt"} or not start:
        found = f"the bytes {start[:8].hex(' ')}" if start else "an empty file"
        raise WeightsCorrupt(str(path), "byte 0", "a zip archive", found)
    raise UnsupportedFormat(str(path), "unknown")


def open_archive(path: Path) -> Archive:
    """Opens `path`, whatever its name.

    Raises:
        ModelNotFound: no such file.
        DiskFailed: it is there and cannot be read.
        UnsupportedFormat, WeightsCorrupt.
    """
    try:
        if not path.is_file():
            raise ModelNotFound(str(path))
        kind = _kind(path)
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error
    return READERS[kind](path)
