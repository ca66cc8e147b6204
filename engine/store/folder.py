"""What lies in the store's folder. Looking costs time where many states are small, so what was seen is
remembered until the folder changes.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from engine.store.ladder import SHORT, File
from engine.store.writing import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

SUFFIX = ".safetensors"
LOOK_SECONDS = 10.0
SETTLED_NS = 50_000_000  # a change within a file system's tick of the last look may not show in its time


def files(folder: Path) -> Iterator[File]:
    """Our files, those being written included; what others put here is left alone."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.name.endswith((SUFFIX, TEMPORARY)) and entry.name[:SHORT].isalnum():
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # another process deleted it meanwhile
                yield File(entry.name, stat.st_size, stat.st_mtime)


def total(folder: Path) -> int:
    """Bytes of all files here."""
    return sum(each.size for each in files(folder))


class Listing:
    """The names and sizes in a folder, read again when somebody else changed it, and now and then. Several
    threads may ask.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._sizes: Mapping[str, int] = {}  # replaced, never changed
        self._named: tuple[Mapping[str, int], frozenset[str]] = {}, frozenset()  # prefixes of which sizes
        self._changed = 0  # the folder's time of change when it was looked at, 0 to look again
        self._looked = 0.0

    def prefixes(self) -> frozenset[str]:
        """The first digits of the prefix key of every snapshot."""
        sizes, (known, prefixes) = self._seen(), self._named
        if sizes is not known:
            prefixes = frozenset(name[:SHORT] for name in sizes if name.endswith(SUFFIX))
            self._named = sizes, prefixes
        return prefixes

    def total(self) -> int:
        """Bytes of all files, those being written included."""
        return sum(self._seen().values())

    def changed(self, new: Mapping[str, int], gone: Collection[str] = ()) -> None:
        """We have just written these files, of so many bytes, and deleted those."""
        with self._lock:
            left = {name: size for name, size in self._sizes.items() if name not in gone}
            self._sizes, self._changed = {**left, **new}, self._time()

    def look_again(self) -> None:
        """We have changed the folder; a change right after another does not show in its time."""
        self._changed = 0

    def _seen(self) -> Mapping[str, int]:
        with self._lock:
            changed = self._time()
            if changed != self._changed or time.monotonic() - self._looked > LOOK_SECONDS:
                settled = time.time_ns() - changed > SETTLED_NS
                self._sizes = {each.name: each.size for each in files(self._folder)}
                self._changed, self._looked = changed if settled else 0, time.monotonic()
            return self._sizes

    def _time(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return 0  # the folder was taken away: nothing is saved here
