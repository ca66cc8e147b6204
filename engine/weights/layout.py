"""Converted layouts: tensors in the form that a model computes with, kept on the disk to be mapped.

A layout is a safetensors file beside the model, or in the cache folder where that cannot be written to. It
holds the tensors that had to be changed (another dtype, dequantised, quantised, halved); those that are right
as stored stay in the model's own file. It says what it was made from; one that is stale, damaged or somebody
else's is not used, and is replaced.
"""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.errors import DiskFailed, EngineError, FileChanged
from engine.weights.export_safetensors import write_tensors
from engine.weights.layout_files import places
from engine.weights.mapped import torch_dtypes
from engine.weights.outgoing import pieces
from engine.weights.place import in_place_of, sweep
from engine.weights.safetensors_file import LAYOUT_DTYPES, SafetensorsFile, read_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

VERSION = "2"
RESERVE = 256 << 20  # bytes of the disk that are left to others
_CHECKSUMS = "checksums"  # the last tensor: the CRC-32 of each other, its bits stored as if they were fp32

FileMark = tuple[str, int, int]  # name, bytes, time of change in ns


class Damaged(Exception):
    """A layout's checksum is another."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a layout has to be.

    Attributes:
        model: the file or folder that it is made from.  files: its weights files as they are now.
        tier: a key of `RUN_DTYPES`.
        entries: names, shapes and dtypes, in order.
        turned: names of matrices that are stored with their axes swapped.
    """

    model: Path
    files: tuple[FileMark, ...]
    tier: str
    entries: tuple[tuple[str, tuple[int, ...], torch.dtype], ...]
    turned: frozenset[str] = frozenset()

    @property
    def nbytes(self) -> int:
        return sum(torch.Size(shape).numel() * dtype.itemsize for _, shape, dtype in self.entries)

    def metadata(self) -> dict[str, str]:
        files = json.dumps(self.files)
        return {"format": "pt", "layout": VERSION, "tier": self.tier, "source": files}


def file_marks(files: tuple[Path, ...]) -> tuple[FileMark, ...]:
    """What tells one content of files from another without reading them."""
    stats = [(path.name, path.stat()) for path in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def find_layout(plan: Plan, cache: Path | None) -> Layout | None:
    """One that fits, by its header."""
    for place in places(plan.model, plan.tier, cache):
        try:
            found = read_safetensors(place, LAYOUT_DTYPES) if place.is_file() else None
        except (EngineError, OSError):
            continue  # damaged, or not ours
        if found and found.metadata == plan.metadata() and _holds(found, plan):
            return Layout(found, plan)
    return None


def _holds(found: SafetensorsFile, plan: Plan) -> bool:
    dtypes = torch_dtypes()
    there = [(name, place.shape, dtypes[place.dtype]) for name, place in found.places.items()]
    return there == _with_checksums(plan)


def _with_checksums(plan: Plan) -> list[tuple[str, tuple[int, ...], torch.dtype]]:
    stored = [
        (name, shape[::-1] if name in plan.turned else shape, dtype) for name, shape, dtype in plan.entries
    ]
    return [*stored, (_CHECKSUMS, (len(plan.entries),), torch.float32)]


class Layout:
    """An open layout whose header fits."""

    def __init__(self, found: SafetensorsFile, plan: Plan) -> None:
        self._found = found
        table = found.places[_CHECKSUMS]
        bits = found.file.bytes[table.start : table.end].cast("I")
        self._checksums = dict(zip((name for name, _, _ in plan.entries), bits, strict=True))
        self._turned = plan.turned
        self.names = frozenset(self._checksums)

    @property
    def path(self) -> Path:
        return self._found.file.path

    def tensor(self, name: str) -> Tensor:
        """A view of the file, compared with its checksum.  Raises Damaged."""
        place = self._found.places[name]
        if zlib.crc32(self._found.file.bytes[place.start : place.end]) != self._checksums[name]:
            raise Damaged(name)
        x = self._found.tensor(name)
        return x.mT if name in self._turned else x


def room_for(plan: Plan, cache: Path | None) -> tuple[Path, ...]:
    """Those of `places` whose disks have room; the cache's folder is made."""
    fitting = []
    for place in places(plan.model, plan.tier, cache):
        try:
            if place.parent != plan.model.parent:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(place)
            old = place.stat().st_size if place.is_file() else 0
            if shutil.disk_usage(place.parent).free + old >= plan.nbytes + RESERVE:
                fitting.append(place)
        except OSError:
            continue
    return tuple(fitting)


def write_layout(place: Path, plan: Plan, get: Callable[[str], Tensor]) -> Iterator[int]:
    """Writes it whole or not at all; yields the bytes written so far. Closing the iterator leaves nothing.

    Args:
        get: the converted tensor of a name, contiguous.

    Raises:
        DiskFailed: it cannot be written there.  FileChanged: the model's files changed meanwhile.
    """
    checksums: list[int] = []

    def value(name: str) -> Tensor:
        if name == _CHECKSUMS:
            bits = bytearray(b"".join(each.to_bytes(4, "little") for each in checksums))
            return torch.frombuffer(bits, dtype=torch.float32)
        x, crc32 = get(name), 0
        x = x.mT.contiguous() if name in plan.turned else x
        for piece in pieces(x):
            crc32 = zlib.crc32(piece, crc32)
        checksums.append(crc32)
        return x

    with in_place_of(place) as temporary:
        yield from write_tensors(temporary, _with_checksums(plan), value, plan.metadata())
        check_unchanged(plan)


def check_unchanged(plan: Plan) -> None:
    """Raises FileChanged if the model's files are no longer those of the plan."""
    folder = plan.model if plan.model.is_dir() else plan.model.parent
    try:
        now = file_marks(tuple(folder / name for name, _, _ in plan.files))
    except OSError as error:
        raise DiskFailed(str(plan.model), error.strerror or str(error)) from error
    if now != plan.files:
        raise FileChanged(str(plan.model))
