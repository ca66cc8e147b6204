"""Official `.pth` files: a zip of one pickle and the raw tensor data, used where it lies in the mapped file.

Downloaded pickles are hostile: this one is not unpickled at all (`pickle_table`), and every size and offset
is compared with the file before use.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.weights.archive import Archive
from engine.weights.mapped import ITEM_BYTES, MappedFile
from engine.weights.pickle_table import CodeInPickle, Malformed, NotATable, StoredTensor, read_table
from engine.weights.zip_directory import ZipEntry, read_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

LARGEST_PICKLE = 4 << 20  # a 61-layer model's is below 0.3 MB
CHECKED_UP_TO = 4 << 30  # larger files would be read from the disk twice for their checksums
_PIECE = 4 << 20

# torch's storage types → dtype
_STORAGES = {"FloatStorage": "fp32", "BFloat16Storage": "bf16", "HalfStorage": "fp16"}


def _corrupt(path: Path, where: str, expected: str, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(str(path), where[:80], expected, found)


def _verify(file: MappedFile, entries: dict[str, ZipEntry]) -> Iterator[None]:
    """Compares every entry with its checksum; very large files are let through."""
    if file.size > CHECKED_UP_TO:
        return
    for entry in entries.values():
        crc32, end = 0, entry.start + entry.size
        for start in range(entry.start, end, _PIECE):
            crc32 = zlib.crc32(file.bytes[start : min(start + _PIECE, end)], crc32)
            yield
        if crc32 != entry.crc32:
            raise _corrupt(file.path, entry.name, "its checksum", "other data")


def _pickle(file: MappedFile, entries: dict[str, ZipEntry]) -> tuple[str, ZipEntry]:
    """The folder inside the zip, and its table of tensors."""
    found = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise UnsupportedFormat(str(file.path), "not-a-table")
    entry = entries[found[0]]
    if entry.size > LARGEST_PICKLE:
        raise _corrupt(file.path, entry.name, f"at most {LARGEST_PICKLE} bytes", f"{entry.size}")
    return found[0].removesuffix("data.pkl"), entry


def _table(file: MappedFile, entry: ZipEntry) -> dict[str, StoredTensor]:
    data = bytes(file.bytes[entry.start : entry.start + entry.size])
    if zlib.crc32(data) != entry.crc32:
        raise _corrupt(file.path, entry.name, "its checksum", "other data")
    try:
        return read_table(data)
    except CodeInPickle as error:
        raise UnsupportedFormat(str(file.path), "pickle-with-code") from error
    except NotATable as error:
        hint = "nested-table" if b"_rebuild_tensor" in data else "not-a-table"
        if b"_rescale_layer" in data:  # a number among the tensors, which no other checkpoint has
            hint = "converted-for-pip"
        raise UnsupportedFormat(str(file.path), hint) from error
    except Malformed as error:
        raise _corrupt(file.path, entry.name, "a table of tensors", str(error)) from error


def _place(file: MappedFile, folder: str, entries: dict[str, ZipEntry], name: str, x: StoredTensor) -> int:
    """The first byte of a tensor's storage.

    Raises:
        WeightsCorrupt: its numbers are no floats, are not there, or reach beyond their end.
    """
    if x.storage not in _STORAGES:
        raise _corrupt(file.path, name, "float numbers", x.storage[:60])
    item, entry = ITEM_BYTES[_STORAGES[x.storage]], entries.get(f"{folder}data/{x.key}")
    if entry is None or x.length * item > entry.size:
        raise _corrupt(file.path, name, f"{x.length * item} bytes", f"{entry.size if entry else 0} bytes")
    last = x.offset + sum((length - 1) * stride for length, stride in zip(x.shape, x.strides, strict=True))
    if 0 not in x.shape and last >= x.length:
        raise _corrupt(file.path, name, f"{x.length} numbers", f"shape {list(x.shape)}")
    return entry.start


def _nbytes(x: StoredTensor) -> int:
    count = ITEM_BYTES[_STORAGES[x.storage]]
    for length in x.shape:
        count *= length
    return count


def _check_together(file: MappedFile, table: dict[str, StoredTensor]) -> int:
    """Bytes of all tensors: at most the file's, since a view can claim any size."""
    total = 0
    for name, x in table.items():
        total += _nbytes(x)
        if total > file.size:
            raise _corrupt(file.path, name, "tensors within the file", f"shape {list(x.shape)}")
    return total


def _check_byte_order(file: MappedFile, entry: ZipEntry | None) -> None:
    if entry and bytes(file.bytes[entry.start : entry.start + min(entry.size, 10)]) != b"little":
        raise _corrupt(file.path, entry.name, "little", "another order of bytes")


def open_pth(path: Path) -> Archive:
    """Maps the file; see `Archive`."""
    file = MappedFile(path)
    entries = read_directory(file)
    folder, pickle = _pickle(file, entries)
    _check_byte_order(file, entries.get(f"{folder}byteorder"))
    table = _table(file, pickle)
    places = {name: _place(file, folder, entries, name, x) for name, x in table.items()}
    nbytes = _check_together(file, table)

    def get(name: str) -> Tensor:
        x = table[name]
        whole = file.tensor(places[name], _STORAGES[x.storage], (x.length,))
        return whole.as_strided(x.shape, x.strides, x.offset)

    shapes = {name: x.shape for name, x in table.items()}
    types = Counter(_STORAGES[x.storage] for x in table.values())
    return Archive(
        path,
        shapes,
        get,
        nbytes,
        lambda: _verify(file, entries),
        "pth",
        (path,),
        types=dict(types.most_common()),
        mapped=True,
    )
