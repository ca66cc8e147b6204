"""The files of a log: one file, those of a folder, or the members of a zip, read in place.

Names are shown and compared, and never become paths: nothing is unpacked to disk.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from rwkv_chat.importers.forms import Refused, Skipped
from rwkv_chat.importers.text_file import Text, encoding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_FILES = 100_000
MOST_BYTES = 1 << 34  # of all files of a log, unpacked
MOST_RATIO, SMALL = 200, 1 << 24  # a member that packs better than that and is larger is no chat
HEAD = 1 << 18  # bytes by which a file is known
AT_ONCE = 1 << 18  # bytes: what stands before a damaged place is kept
GLANCE = 1 << 12  # bytes that tell text from pictures
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(slots=True)
class Meter:
    """Bytes read of a log so far, and of how many; files whose end could not be unpacked."""

    total: int = 0
    done: int = 0
    damaged: list[str] = field(default_factory=list)


class _Counted(io.RawIOBase):
    """A file that counts what is read of it, and ends where it is damaged."""

    def __init__(self, file: BinaryIO, meter: Meter, name: str) -> None:
        self._file, self._meter, self._name = file, meter, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            read = self._file.read(min(len(buffer), AT_ONCE))
        except _ZIP_ERRORS:
            self._meter.damaged.append(self._name)
            read = b""
        self._meter.done += len(read)
        if self._meter.done > MOST_BYTES:
            raise Refused("0", "too-large")
        buffer[: len(read)] = read
        return len(read)


@dataclass(frozen=True, eq=False)
class Source:
    """One file. `folder`: of the log that it lies in, "" for the top; `around`: the name of the whole."""

    name: str
    folder: str
    size: int
    encoding: str
    head: str
    around: str
    _open: Callable[[], BinaryIO]
    meter: Meter

    @contextmanager
    def text(self) -> Iterator[Text]:
        """Its text from the beginning. Raises: Refused, OSError."""
        with self._open() as file:
            yield Text(cast("BinaryIO", _Counted(file, self.meter, self.name)), self.encoding)


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Source | Skipped]]:
    """The files of a log that are text, in the order of their names.

    Raises:
        Refused, OSError.
    """
    meter = Meter()
    if path.is_dir():
        yield _folder(path, meter)
    elif not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    elif zipfile.is_zipfile(path) and not _is_picture(path):
        with _unpacker(path) as packed:
            yield _members(packed, path.stem, meter)
    else:
        yield iter([_source(path.name, "", path.stat().st_size, path.stem, lambda: path.open("rb"), meter)])


def _unpacker(path: Path) -> zipfile.ZipFile:
    """Raises: Refused: its table cannot be read."""
    try:
        return zipfile.ZipFile(path)
    except (*_ZIP_ERRORS, ValueError, struct.error) as error:
        raise Refused("0", "zip") from error


def _is_picture(path: Path) -> bool:
    """A picture may end in anything; a zip that begins as one is not ours to open."""
    with path.open("rb") as file:
        return file.read(4) == b"\x89PNG"


def _source(
    name: str, folder: str, size: int, around: str, open_: Callable[[], BinaryIO], meter: Meter
) -> Source | Skipped:
    where = f"{folder}/{name}" if folder else name
    try:
        head = _head(open_)
    except _ZIP_ERRORS:
        return Skipped("bad-record", where)
    encoding = encoding_of(head)
    if encoding is None:
        return Skipped("other-file", where)
    told = Text(io.BytesIO(head), encoding)
    meter.total += size
    return Source(name, folder, size, encoding, told.piece(), around, open_, meter)


def _head(open_: Callable[[], BinaryIO]) -> bytes:
    with open_() as file:
        glance = file.read(GLANCE)
        return glance if encoding_of(glance) is None else glance + file.read(HEAD - len(glance))


def _folder(top: Path, meter: Meter) -> Iterator[Source | Skipped]:
    found: list[Path] = []
    for folder, folders, files in os.walk(top):  # follows no links
        folders.sort()
        found += [Path(folder) / each for each in sorted(files)]
        if len(found) > MOST_FILES:
            raise Refused("0", "too-large")
    for path in found:
        if stat.S_ISREG(path.lstat().st_mode):
            inside = str(PurePosixPath(*path.relative_to(top).parent.parts))
            folder = "" if inside == "." else inside
            yield _source(
                path.name, folder, path.stat().st_size, top.name, lambda path=path: path.open("rb"), meter
            )


def _members(packed: zipfile.ZipFile, around: str, meter: Meter) -> Iterator[Source | Skipped]:
    listed = [each for each in packed.infolist() if not each.is_dir()]
    if len(listed) > MOST_FILES or sum(each.file_size for each in listed) > MOST_BYTES:
        raise Refused("0", "too-large")
    for each in sorted(listed, key=lambda info: info.filename):
        folder, _, name = each.filename.replace("\\", "/").rpartition("/")
        if each.flag_bits & 1:
            yield Skipped("encrypted", each.filename)
        elif each.compress_type not in _PACKINGS or _swells(each):
            yield Skipped("other-file", each.filename)
        elif each.file_size:
            yield _source(
                name,
                folder,
                each.file_size,
                around,
                lambda info=each: _member(packed, info),
                meter,
            )


def _member(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """Raises: one of `_ZIP_ERRORS`: the table of a damaged zip may point anywhere."""
    try:
        return cast("BinaryIO", packed.open(info))
    except (OSError, ValueError, struct.error) as error:
        raise zipfile.BadZipFile from error


def _swells(info: zipfile.ZipInfo) -> bool:
    return info.file_size > SMALL and info.file_size > MOST_RATIO * max(info.compress_size, 1)
