"""The header of a GGUF file: pairs of keys and values, and the table of tensors, every number checked.

"GGUF", u32 version, u64 number of tensors, u64 number of pairs; pairs; tensors; padding to the alignment; the
tensors' data. No tensor reaches beyond the file or into another.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.weights.gguf_cursor import STRING, Array, Cursor
from engine.weights.gguf_types import block_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.weights.gguf_cursor import Value

VERSIONS = (2, 3)
SMALLEST = 24  # bytes of a header without pairs and tensors
MOST_PAIRS, MOST_TENSORS = 1 << 16, 1 << 16
MOST_DIMENSIONS = 4
DEFAULT_ALIGNMENT, LARGEST_ALIGNMENT = 32, 1 << 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: shape (slowest axis first), type of its numbers, first byte in the file, bytes."""

    shape: tuple[int, ...]
    type: int
    start: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file of `size` bytes says of itself."""

    path: Path
    size: int
    pairs: dict[str, Value]
    tensors: dict[str, TensorInfo]

    def text(self, key: str) -> str:
        """The string of a key, "" if there is none."""
        found = self.pairs.get(key)
        return found if isinstance(found, str) else ""

    def number(self, key: str) -> int:
        """The whole number of a key, 0 if there is none."""
        found = self.pairs.get(key)
        return found if isinstance(found, int) else 0

    def strings(self, key: str) -> list[bytes]:
        """An array of strings, empty if there is none."""
        found = self.pairs.get(key)
        if not isinstance(found, Array) or found.kind != STRING:
            return []
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return list(Cursor(self.path, data).strings(found))


def read_header(path: Path) -> Header:
    """The header of the file at `path`.

    Raises:
        WeightsCorrupt, UnsupportedFormat, OSError.
    """
    size = path.stat().st_size
    if size < SMALLEST:
        raise WeightsCorrupt(str(path), "byte 0", f"{SMALLEST} bytes of header", str(size))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = Cursor(path, data)
        tensors, pairs = _counts(cursor, path)
        found = _table(cursor, pairs, Cursor.value)
        infos = _table(cursor, tensors, _tensor)
        start = _data_start(cursor, found)
    placed = {name: _placed(path, name, info, start, size) for name, info in infos.items()}
    _check_apart(path, placed)
    return Header(path, size, found, placed)


def _counts(cursor: Cursor, path: Path) -> tuple[int, int]:
    """How many tensors and how many pairs."""
    if (magic := cursor.take(4)) != b"GGUF":
        raise cursor.corrupt("GGUF", magic.hex(" "))
    if cursor.scalar("I") not in VERSIONS:  # of 2023, or of a machine with the other byte order
        raise UnsupportedFormat(str(path), "gguf-version")
    tensors = cursor.count("Q", MOST_TENSORS, "tensors")
    return tensors, cursor.count("Q", MOST_PAIRS, "pairs")


def _table(cursor: Cursor, count: int, read: Callable[[Cursor], T]) -> dict[str, T]:
    """`count` names, each with what `read` makes of what follows it."""
    found: dict[str, T] = {}
    for _ in range(count):
        name = cursor.name()
        if name in found:
            raise cursor.corrupt("every name once", name)
        found[name] = read(cursor)
    return found


def _tensor(cursor: Cursor) -> TensorInfo:
    """Its place is still relative to the data, its bytes unknown."""
    dimensions = cursor.count("I", MOST_DIMENSIONS, "dimensions")
    shape = tuple(int(cursor.scalar("Q")) for _ in range(dimensions))
    if not shape or 0 in shape:
        raise cursor.corrupt("a shape without 0", list(shape))
    kind = int(cursor.scalar("I"))
    return TensorInfo(shape[::-1], kind, int(cursor.scalar("Q")), 0)


def _data_start(cursor: Cursor, pairs: dict[str, Value]) -> int:
    alignment = pairs.get("general.alignment", DEFAULT_ALIGNMENT)
    power = isinstance(alignment, int) and 8 <= alignment <= LARGEST_ALIGNMENT
    if not isinstance(alignment, int) or not power or alignment & (alignment - 1):
        raise cursor.corrupt("a power of 2 as alignment", alignment)
    return cursor.at + -cursor.at % alignment


def _placed(path: Path, name: str, info: TensorInfo, start: int, size: int) -> TensorInfo:
    """The tensor with its place in the file."""
    block, nbytes_of_block = block_of(path, info.type)
    count = math.prod(info.shape)
    if info.shape[-1] % block:
        raise WeightsCorrupt(str(path), name, f"rows of whole blocks of {block}", str(list(info.shape)))
    begin, nbytes = start + info.start, count // block * nbytes_of_block
    if begin + nbytes > size or begin % 8:
        raise WeightsCorrupt(str(path), name, f"within {size} bytes", f"bytes {begin} to {begin + nbytes}")
    return TensorInfo(info.shape, info.type, begin, nbytes)


def _check_apart(path: Path, tensors: dict[str, TensorInfo]) -> None:
    """No two tensors share a byte: a file cannot claim more values than it holds."""
    ordered = sorted(tensors.items(), key=lambda each: each[1].start)
    for (_, before), (name, after) in pairwise(ordered):
        if after.start < before.start + before.nbytes:
            end = before.start + before.nbytes
            raise WeightsCorrupt(str(path), name, f"byte {end} or later", f"byte {after.start}")
