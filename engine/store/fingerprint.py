"""The identity of weights: SHA-256 of their files, remembered by path, size and time of change.

A file's identity is its SHA-256. A folder's is the SHA-256 of the lines "<sha256>  <name>\\n" of its weights
files, sorted. Nothing here loads torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.durable import into_place
from engine.errors import FileChanged, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "hashes.json"
BLOCK = 4 << 20
# of a folder, the files of the first kind that it has: indexes and optimisers lie there too
KINDS = ((".safetensors", ".st"), (".gguf",), (".pth", ".pt", ".bin"))

_writing = threading.Lock()  # a download may remember a hash while a file is identified


class Stopped(Exception):  # an outcome of ours, never seen outside
    """`should_stop` said so."""


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file as it was when looked at: its name in a folder, its true place, bytes, time of change (ns)."""

    name: str
    path: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Weights as they were when looked at; equal marks are taken for equal weights."""

    files: tuple[FileMark, ...]
    folder: bool = False

    @property
    def nbytes(self) -> int:
        return sum(each.size for each in self.files)


def mark(path: Path) -> Mark:
    """What the weights at `path`, a file or a folder, are now; reads none of them.

    Raises:
        ModelNotFound: nothing is there, or a folder without weights.
        OSError: it cannot be looked at.
    """
    if path.is_file():
        return Mark((_file_mark(path, ""),))
    found = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else []
    for suffixes in KINDS:
        if files := [each for each in found if each.suffix in suffixes and not each.name.startswith(".")]:
            return Mark(tuple(_file_mark(each, each.name) for each in files), folder=True)
    raise ModelNotFound(str(path))


def known(of: Mark, cache: Path | None) -> str | None:
    """The identity, if every file was hashed and has not changed since; reads no weights."""
    remembered = _read(cache)
    hashes = [_entry(remembered, each) for each in of.files]
    return None if "" in hashes else _joined(of, hashes)


def remember(path: Path, cache: Path | None, sha256: str) -> None:
    """Remembers the hash that somebody else computed of the file that stands at `path` now."""
    if cache is not None:
        _remember(_file_mark(path, ""), cache, sha256)


def identify(
    of: Mark,
    cache: Path | None,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> str:
    """The identity, 64 hex digits; reads only files whose hash is not remembered.

    Args:
        progress: told the bytes done after every block, of all files together.

    Raises:
        Stopped: `should_stop` returned True between two blocks.
        FileChanged: a file is no longer what `of` says, or changed while it was read.
        OSError: a file cannot be read.
    """
    remembered, hashes, done = _read(cache), [], 0
    for each in of.files:
        found = _entry(remembered, each)
        if not found:
            found = _sha256(each, should_stop, lambda at, before=done: progress(before + at))
            if cache is not None:
                _remember(each, cache, found)
        hashes.append(found)
        done += each.size
        progress(done)
    return _joined(of, hashes)


def fingerprint(path: Path, cache: Path | None, should_stop: Callable[[], bool] = lambda: False) -> str:
    """`identify` of what stands at `path` now."""
    return identify(mark(path), cache, should_stop)


# ------------------------------------------------------------------------------------------------ hashing


def _file_mark(path: Path, name: str) -> FileMark:
    stat = path.stat()
    return FileMark(name, str(path.resolve()), stat.st_size, stat.st_mtime_ns)


def _sha256(of: FileMark, should_stop: Callable[[], bool], progress: Callable[[int], None]) -> str:
    digest, done = hashlib.sha256(), 0
    with Path(of.path).open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            if should_stop():
                raise Stopped
            digest.update(block)
            done += len(block)
            progress(done)
    stat = Path(of.path).stat()
    if (stat.st_size, stat.st_mtime_ns) != (of.size, of.changed) or done != of.size:
        raise FileChanged(of.path)
    return digest.hexdigest()


def _joined(of: Mark, hashes: list[str]) -> str:
    if not of.folder:
        return hashes[0]
    lines = (f"{found}  {each.name}\n" for found, each in zip(hashes, of.files, strict=True))
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------ memory


def _entry(remembered: dict[str, object], of: FileMark) -> str:
    """The remembered hash of a file that has not changed since, or ""."""
    entry = remembered.get(of.path)
    if not isinstance(entry, list) or len(entry) != 3 or entry[:2] != [of.size, of.changed]:
        return ""
    return entry[2] if _is_hex(entry[2]) else ""


def _remember(of: FileMark, cache: Path, sha256: str) -> None:
    with _writing:
        _write(cache, {**_read(cache), of.path: [of.size, of.changed, sha256]})


def _is_hex(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def _read(cache: Path | None) -> dict[str, object]:
    """What is remembered; nothing if the file is missing or unreadable: it is only a cache."""
    if cache is None:
        return {}
    try:
        known = json.loads((cache / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(cache: Path, known: dict[str, object]) -> None:
    temporary = cache / f"{FILE}.{os.getpid()}"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(known), encoding="utf-8")
        into_place(temporary, cache / FILE)
    except OSError:
        temporary.unlink(missing_ok=True)
