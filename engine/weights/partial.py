"""A file that is being fetched: `name.part` beside its place, and `name.part.json`, what it is a part of.

Nothing here is ever taken for the file itself: that name is given when it is whole and its SHA-256 is right.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.durable import into_place
from engine.errors import DownloadBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".part"
BLOCK = 4 << 20
LARGEST_NOTE = 1 << 16


@dataclass(frozen=True, slots=True)
class Note:
    """What a partial file is a part of.

    Attributes:
        url: the address asked.  etag: of what it sent, "" for none.
        size: of the whole file, 0 if it was not told.  sha256: of the whole file, known or told, or "".
    """

    url: str
    etag: str = ""
    size: int = 0
    sha256: str = ""

    def same_file(self, other: Note) -> bool:
        """Whether both are surely of one file: one SHA-256, or one validator of one address."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        one_size = self.size == other.size or 0 in {self.size, other.size}
        return bool(self.etag) and (self.url, self.etag) == (other.url, other.etag) and one_size


class Partial:
    """The bytes that are here, and their hash so far. Use it as a context manager, one at a time per file.

    Attributes:
        note: of the bytes that are here.  have: how many.

    Raises:
        DownloadBusy: another program is fetching the same file.
        OSError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._final = path
        self._path = path.with_name(path.name + SUFFIX)
        self._note_path = path.with_name(path.name + SUFFIX + ".json")
        self._digest = hashlib.sha256()
        self.note = Note("")
        self.have = 0

    @contextmanager
    def opened(self) -> Iterator[Partial]:
        """Holds the lock and the file; what is whole on the disk stays there whatever happens."""
        self._final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock(self._path.with_name(self._path.name + ".lock"), self._final):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                with os.fdopen(handle, "r+b", buffering=0) as self._file:
                    self.have = self._file.seek(0, os.SEEK_END)
                    self.note = _read_note(self._note_path)
                    if not self.note.url:
                        self.clear()
                    yield self
            finally:
                if not self.have:
                    self.remove()

    def rebuild(self) -> Iterator[int]:
        """Reads what is here once, to go on with its hash; yields how many bytes were read so far."""
        self._digest = hashlib.sha256()
        self._file.seek(0)
        left = self.have
        while left:
            block = self._file.read(min(BLOCK, left))
            if not block:
                raise OSError(5, "shorter than it was", str(self._path))
            self._digest.update(block)
            left -= len(block)
            yield self.have - left

    def clear(self) -> None:
        """Gives up what is here."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.have, self.note = 0, Note("")

    def describe(self, note: Note) -> None:
        """Says what the bytes belong to, before they come."""
        if note != self.note:
            temporary = self._note_path.with_name(self._note_path.name + ".new")
            temporary.write_text(json.dumps({"format": 1, **asdict(note)}), encoding="utf-8")
            into_place(temporary, self._note_path)
            self.note = note

    def write(self, chunk: bytes) -> None:
        """Appends; the hash covers what reached the file and nothing else."""
        view = memoryview(chunk)
        while view:
            written = self._file.write(view) or 0
            self._digest.update(view[:written])
            self.have += written
            view = view[written:]

    def sha256(self) -> str:
        """Of the bytes that are here."""
        return self._digest.hexdigest()

    def finish(self) -> None:
        """Gives the whole, verified file its name, on the disk for good."""
        self._file.close()
        into_place(self._path, self._final)
        self._note_path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes what is here, and its note."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._note_path.unlink(missing_ok=True)
        self.have = 0


def kept(path: Path) -> tuple[int, int]:
    """How many bytes of the file that would stand at `path` are here, and of how many (0: not known)."""
    try:
        have = path.with_name(path.name + SUFFIX).stat().st_size
    except OSError:
        return 0, 0
    return have, _read_note(path.with_name(path.name + SUFFIX + ".json")).size


def discard(path: Path) -> None:
    """Deletes what is here of the file that would stand at `path`.

    Raises:
        DownloadBusy: it is being fetched.
        OSError.
    """
    part = path.with_name(path.name + SUFFIX)
    if part.exists():
        with lock(part.with_name(part.name + ".lock"), path):
            part.unlink(missing_ok=True)
            part.with_name(part.name + ".json").unlink(missing_ok=True)


def _read_note(path: Path) -> Note:
    """What the note says; an empty one if it is missing or damaged."""
    try:
        if path.stat().st_size > LARGEST_NOTE:
            return Note("")
        read = json.loads(path.read_text(encoding="utf-8"))
        note = Note(read["url"], read["etag"], read["size"], read["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Note("")
    texts = all(isinstance(each, str) for each in (note.url, note.etag, note.sha256))
    return note if texts and isinstance(note.size, int) and note.size >= 0 else Note("")


@contextmanager
def lock(path: Path, final: Path) -> Iterator[None]:
    """Held by one program at a time; the system lets go of it when the program dies, however it dies.

    Raises:
        DownloadBusy: another one holds it; the error names `final`.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _take(handle):
                raise DownloadBusy(str(final))
            if not _is_at(handle, path):  # its holder has just removed it: take the one that is there now
                continue
            try:
                yield
            finally:
                with suppress(OSError):  # Windows does not remove a file that is open
                    path.unlink()
            return
        finally:
            os.close(handle)


def is_held(path: Path) -> bool:
    """Whether a program holds the lock; a look, which several may take at once and which makes no file."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            if not _take(handle, shared=True):
                return True
            if _is_at(handle, path):  # else its holder has just removed it, and another may have made it anew
                return False
        finally:
            os.close(handle)


def _take(handle: int, *, shared: bool = False) -> bool:
    """Whether the lock could be had at once. `shared`: beside others who only look (Windows knows none)."""
    try:
        import fcntl
    except ModuleNotFoundError:
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]  Windows
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
