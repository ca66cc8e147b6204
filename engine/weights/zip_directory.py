"""The table of contents of a zip whose entries are stored, not compressed, as torch writes it.

Read from the mapped file by its own few structures; no number of it is used before it was compared with the
file's size. Torch starts every entry's data at a multiple of 64 bytes, so tensors can be used where they lie.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import WeightsCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.weights.mapped import MappedFile

LARGEST_DIRECTORY = 16 << 20  # a 61-layer model's is below 0.3 MB
_LONGEST_COMMENT = 0xFFFF

_END = struct.Struct("<4s4H2IH")  # signature, disks, entries, directory's size and offset, comment's length
_END64_PLACE = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One stored file: where its data lies, and its checksum."""

    name: str
    start: int
    size: int
    crc32: int


def _corrupt(file: MappedFile, where: str, expected: str, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(str(file.path), where[:80], expected, found)


def _end_of_directory(file: MappedFile) -> tuple[int, int, int]:
    """Number of entries, size and offset of the directory."""
    tail_start = max(0, file.size - _END.size - _LONGEST_COMMENT)
    tail = bytes(file.bytes[tail_start:])
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise _corrupt(file, f"byte {file.size}", "the zip's directory at the end", "none")
    *_, count, size, offset, _ = _END.unpack_from(tail, at)
    if 0xFFFF in (count,) or 0xFFFFFFFF in (size, offset):
        return _end64(file, tail_start + at)
    return count, size, offset


def _end64(file: MappedFile, before: int) -> tuple[int, int, int]:
    """The same from the structures of large files, which stand in front of the small one."""
    place = before - _END64_PLACE.size
    if place >= 0:
        signature, _, at, _ = _END64_PLACE.unpack_from(file.bytes, place)
        if signature == b"PK\x06\x07" and at <= place - _END64.size:
            signature, *_, count, size, offset = _END64.unpack_from(file.bytes, at)
            if signature == b"PK\x06\x06":
                return count, size, offset
    raise _corrupt(file, f"byte {max(place, 0)}", "the directory of a large zip", "none")


def _large(extra: bytes, wanted: list[int]) -> list[int]:
    """Numbers that are 2³² − 1 in the entry stand in its extra field, in order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            found = [value for (value,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8])]
            return [found.pop(0) if x == 0xFFFFFFFF and found else x for x in wanted]
        at += 4 + length
    return wanted


def _raw_entries(file: MappedFile, directory: bytes, count: int) -> Iterator[tuple[str, int, list[int], int]]:
    """Name, method, [size, compressed size, offset], checksum of each row."""
    at = 0
    for _ in range(count):
        if at + _ENTRY.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
            raise _corrupt(file, f"entry at byte {at} of the directory", "an entry", "other data")
        row = _ENTRY.unpack_from(directory, at)
        flags, method, crc32, packed, size = row[3], row[4], row[7], row[8], row[9]
        name_length, extra_length, comment_length, offset = row[10], row[11], row[12], row[16]
        at += _ENTRY.size
        name = directory[at : at + name_length].decode("utf-8", "replace")
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        # encrypted entries are none that torch writes either
        yield name, method | (flags & 1) << 16, _large(extra, [size, packed, offset]), crc32


def _data_start(file: MappedFile, name: str, offset: int) -> int:
    """Behind the header that stands in front of an entry's data."""
    if offset + _LOCAL.size > file.size or file.bytes[offset : offset + 4] != b"PK\x03\x04":
        raise _corrupt(file, name, "a header in front of its data", "none")
    *_, name_length, extra_length = _LOCAL.unpack_from(file.bytes, offset)
    return offset + _LOCAL.size + name_length + extra_length


def read_directory(file: MappedFile) -> dict[str, ZipEntry]:
    """By name; entries do not overlap and lie within the file.

    Raises:
        WeightsCorrupt: names what is wrong.
    """
    count, size, offset = _end_of_directory(file)
    if size > LARGEST_DIRECTORY or offset + size > file.size or count * _ENTRY.size > size:
        raise _corrupt(file, f"byte {min(offset, file.size)}", "the zip's directory", f"{size} bytes")
    found: dict[str, ZipEntry] = {}
    for name, method, (length, packed, at), crc32 in _raw_entries(
        file, bytes(file.bytes[offset : offset + size]), count
    ):
        if method or length != packed:
            raise _corrupt(file, name, "an uncompressed entry", "a compressed one")
        start = _data_start(file, name, at)
        if start + length > offset:
            raise _corrupt(file, name, f"within {offset} bytes", f"{length} bytes at {start}")
        if name in found:
            raise _corrupt(file, name, "a name of its own", "a second entry")
        found[name] = ZipEntry(name, start, length, crc32)
    _check_apart(file, found)
    return found


def _check_apart(file: MappedFile, entries: dict[str, ZipEntry]) -> None:
    """Entries that share data would make a small file a large model."""
    end = 0
    for entry in sorted(entries.values(), key=lambda each: each.start):
        if entry.start < end:
            raise _corrupt(file, entry.name, "data of its own", "another entry's")
        end = entry.start + entry.size
