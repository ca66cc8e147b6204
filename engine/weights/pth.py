"""Official `.pth` files: a zip of one pickle and the raw tensor data, read by mapping.

Downloaded pickles are hostile: only tensors may come out (`weights_only`), and the zip is checked first, so
that no entry is compressed, larger than the file, or a pickle of absurd size.
"""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import EngineError, UnsupportedFormat, WeightsCorrupt
from engine.weights.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_PICKLE = 64 << 20  # a 61-layer model's is below 0.3 MB
CHECKED_UP_TO = 4 << 30  # larger files would be read from the disk twice for their checksums
_PIECE = 1 << 20

_FLOATS = {torch.float32, torch.bfloat16, torch.float16}


def _corrupt(path: Path, where: str, expected: str, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(str(path), where, expected, found)


def _check_entry(path: Path, entry: zipfile.ZipInfo, size: int) -> None:
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise _corrupt(path, entry.filename, "an uncompressed entry", "a compressed one")
    if entry.header_offset + entry.file_size > size:
        raise _corrupt(path, entry.filename, f"within {size} bytes", f"{entry.file_size} bytes")
    if entry.filename.endswith("/data.pkl") and entry.file_size > LARGEST_PICKLE:
        raise _corrupt(path, entry.filename, f"at most {LARGEST_PICKLE} bytes", f"{entry.file_size}")


def _read_all(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[None]:
    with archive.open(entry) as stream:
        while stream.read(_PIECE):
            yield


def _verify(path: Path) -> Iterator[None]:
    """Reads every entry to its end, where zipfile compares its checksum; very large files are let through."""
    if path.stat().st_size > CHECKED_UP_TO:
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            try:
                yield from _read_all(archive, entry)
            except Exception as error:  # zipfile raises many kinds on damaged headers
                raise _corrupt(path, entry.filename, "its checksum", "other data") from error


def _check_zip(path: Path) -> None:
    size = path.stat().st_size
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # BadZipFile, and others for damaged directories
        raise _corrupt(path, f"byte {size}", "the zip's directory at the end", "none") from error
    with archive:
        for entry in archive.infolist():
            _check_entry(path, entry, size)


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsupportedFormat(str(path), "pickle-with-code") from error
    except EngineError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise _corrupt(path, "data.pkl", "a table of tensors", type(error).__name__) from error


def _check_tensors(path: Path, loaded: Any) -> dict[str, torch.Tensor]:
    """Only a flat table of float tensors passes, together within the file (a view can claim any size)."""
    if not isinstance(loaded, dict) or not loaded:
        raise UnsupportedFormat(str(path), "not-a-table")
    room = path.stat().st_size
    for name, x in loaded.items():
        if not isinstance(name, str) or not isinstance(x, torch.Tensor):
            raise UnsupportedFormat(str(path), "nested-table")
        if x.dtype not in _FLOATS or x.layout != torch.strided or x.device.type != "cpu":
            raise _corrupt(path, name, "float numbers", f"{x.dtype}")
        room -= x.numel() * x.element_size()
        if room < 0:
            raise _corrupt(path, name, "tensors within the file", f"shape {list(x.shape)}")
    return loaded


def open_pth(path: Path) -> Archive:
    """Maps the file; see `Archive`."""
    _check_zip(path)
    tensors = _check_tensors(path, _unpickle(path))
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    nbytes = sum(x.nbytes for x in tensors.values())
    return Archive(path, shapes, tensors.__getitem__, nbytes, lambda: _verify(path), "pth", (path,))
