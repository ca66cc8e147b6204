"""SHA-256 of weights files, remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "hashes.json"
BLOCK = 4 << 20


class Stopped(Exception):  # an outcome of ours, never seen outside
    """`should_stop` said so."""


def fingerprint(path: Path, cache: Path | None, should_stop: Callable[[], bool] = lambda: False) -> str:
    """SHA-256 of the file, 64 hex digits; read anew only if its size or time of change is another.

    Raises:
        Stopped: `should_stop` returned True between two blocks.
        OSError: the file cannot be read.
    """
    stat = path.stat()
    name, mark = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
    known = _read(cache)
    entry = known.get(name)
    if isinstance(entry, list) and len(entry) == 3 and entry[:2] == mark and _is_hex(entry[2]):
        return entry[2]
    found = _sha256(path, should_stop)
    if cache is not None:
        _write(cache, {**known, name: [*mark, found]})
    return found


def _sha256(path: Path, should_stop: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if should_stop():
                raise Stopped
            digest.update(block)
    return digest.hexdigest()


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
        temporary.replace(cache / FILE)
    except OSError:
        temporary.unlink(missing_ok=True)
