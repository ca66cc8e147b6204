"""Reads values out of a GGUF header, one after the other; every length is checked against the file first.

Little-endian. A string is u64 length and bytes; an array is u32 type, u64 length and its elements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import WeightsCorrupt

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_NAME, LONGEST_TEXT = 1 << 10, 4 << 20
MOST_ELEMENTS = 4 << 20  # strings and arrays in arrays; vocabularies have 65 thousand, or a few hundred
DEEPEST = 4  # arrays in arrays

STRING, ARRAY = 8, 9
# type of a value → its code in `struct`
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_BYTES = {kind: struct.calcsize(f"<{code}") for kind, code in SCALARS.items()}
_LENGTH = struct.Struct("<Q").unpack_from


@dataclass(frozen=True, slots=True)
class Array:
    """An array that was checked and passed over: its elements' type, how many, and where they begin."""

    kind: int
    length: int
    start: int


Value = int | float | bool | str | Array


class Cursor:
    """A place in a file that moves on as values are read.

    Raises:
        WeightsCorrupt: from every method, where the file ends or a number is absurd.
    """

    def __init__(self, path: Path, data: mmap.mmap | bytes, at: int = 0) -> None:
        self.at = at
        self._path, self._data = path, data
        self._elements = 0

    def corrupt(self, expected: str, found: object) -> WeightsCorrupt:
        """The error of this place."""
        return WeightsCorrupt(str(self._path), f"byte {self.at}", expected, str(found)[:80])

    def take(self, nbytes: int) -> bytes:
        start = self.at
        self.skip(nbytes)
        return self._data[start : self.at]

    def skip(self, nbytes: int) -> None:
        left = len(self._data) - self.at
        if nbytes > left:
            raise self.corrupt(f"{nbytes} more bytes", left)
        self.at += nbytes

    def scalar(self, code: str) -> int | float | bool:
        """One value of a `struct` code."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def count(self, code: str, most: int, what: str) -> int:
        """A whole number up to `most`."""
        found = int(self.scalar(code))
        if found > most:
            raise self.corrupt(f"at most {most} {what}", found)
        return found

    def name(self) -> str:
        """A short string that must be UTF-8."""
        found = self.take(self.count("Q", LONGEST_NAME, "bytes"))
        try:
            return found.decode()
        except UnicodeDecodeError as error:
            raise self.corrupt("a name in UTF-8", "other bytes") from error

    def value(self) -> Value:
        """A type and the value of that type; arrays are passed over."""
        kind = int(self.scalar("I"))
        if kind == STRING:
            return self.take(self.count("Q", LONGEST_TEXT, "bytes")).decode(errors="replace")
        if kind == ARRAY:
            return self._array(DEEPEST)
        if kind not in SCALARS:
            raise self.corrupt("a known type of value", kind)
        return self.scalar(SCALARS[kind])

    def _array(self, depth: int) -> Array:
        kind = int(self.scalar("I"))
        length = self.count("Q", len(self._data), "elements")
        found = Array(kind, length, self.at)
        if kind in _BYTES:
            self.skip(length * _BYTES[kind])
            return found
        self._elements += length
        if kind not in (STRING, ARRAY) or depth == 0 or self._elements > MOST_ELEMENTS:
            raise self.corrupt("an array of numbers or of strings", f"{length} elements of type {kind}")
        if kind == STRING:
            self._skip_strings(length)
        for _ in range(length if kind == ARRAY else 0):
            self._array(depth - 1)
        return found

    def _skip_strings(self, count: int) -> None:
        for length in self._lengths(count):
            self.at += length

    def strings(self, array: Array) -> Iterator[bytes]:
        """The elements of an array of strings."""
        self.at = array.start
        for length in self._lengths(array.length):
            yield self._data[self.at : self.at + length]
            self.at += length

    def _lengths(self, count: int) -> Iterator[int]:
        """The length of each string, with the cursor at its first byte; the caller moves it on."""
        data, size = self._data, len(self._data)
        for _ in range(count):
            if self.at + 8 > size:
                raise self.corrupt("8 more bytes", size - self.at)
            (length,) = _LENGTH(data, self.at)
            if length > LONGEST_TEXT or self.at + 8 + length > size:
                raise self.corrupt(f"at most {LONGEST_TEXT} bytes within the file", length)
            self.at += 8
            yield length
