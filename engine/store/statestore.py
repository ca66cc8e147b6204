"""A folder of snapshots within a byte budget. A cache: whatever is lost here is rebuilt from tokens.

Several processes may use one folder: files appear by rename and vanish whole, and none is ever changed. The
budget always wins; when something must go, the least recently used goes first, and states kept (`keep`) last.

Nothing here loads torch: states can be forgotten before any model is loaded.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, StateCorrupt, StateMismatch, StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.store.snapshot import Layout, Snapshot
    from engine.types import StateKey

SUFFIX = ".safetensors"
TEMPORARY = ".writing"
MOST_BYTES = 20_000_000_000
ABANDONED_SECONDS = 60.0  # no write takes longer: an older temporary file belongs to a process that died


def file_name(key: StateKey) -> str:
    """A snapshot's file: the start of its prefix key, then the start of its digest."""
    return f"{key.prefix[:32]}-{key.digest()[:32]}{SUFFIX}"


def default_budget(folder: Path) -> int:
    """The smaller of 20 GB and a tenth of what is free (this store's own bytes count as free)."""
    free = shutil.disk_usage(folder).free + sum(size for _, size, _ in _files(folder))
    return min(MOST_BYTES, free // 10)


class StateStore:
    """Snapshots by key.

    Raises:
        DiskFailed: the folder cannot be made or read.
    """

    def __init__(self, folder: Path, budget_bytes: int | None = None) -> None:
        """`budget_bytes` None: `default_budget`, computed now."""
        self.folder = folder
        self._kept: frozenset[str] = frozenset()
        with self._failing(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._sweep()
            self.budget = default_budget(folder) if budget_bytes is None else budget_bytes

    # ---------------------------------------------------------------------------------------- one snapshot

    def path(self, key: StateKey) -> Path:
        """Where the snapshot of `key` is."""
        return self.folder / file_name(key)

    def __contains__(self, key: StateKey) -> bool:
        return self.path(key).is_file()

    def prefixes(self) -> frozenset[str]:
        """The first 32 hex digits of the prefix key of every snapshot here, of whatever model."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208  names alone, at a third of the time
            return frozenset(each[:32] for each in names if each.endswith(SUFFIX))
        except OSError:
            return frozenset()  # the folder was taken away: nothing is saved here

    def load(self, key: StateKey, layout: Layout, arch: str) -> Snapshot | None:
        """The snapshot of `key`, None if there is none. One that cannot be used is deleted.

        Raises:
            StateCorrupt, StateMismatch: it was there, and damaged or of something else.
        """
        from engine.store.snapshot import read

        path = self.path(key)
        try:
            snapshot = read(path, key, layout, arch)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateCorrupt(str(path), error.strerror or "cannot be read") from error
        except (StateCorrupt, StateMismatch):
            self.discard(key)
            raise
        self._touch(path)
        return snapshot

    def discard(self, key: StateKey) -> None:
        """Deletes a snapshot that cannot be used, so that it is written again."""
        with contextlib.suppress(OSError):
            self.path(key).unlink()

    def save(self, snapshot: Snapshot) -> int:
        """Writes the snapshot durably (file and folder synced); one already there stays. Returns its bytes.

        Raises:
            StoreFull: it is larger than the whole budget.  DiskFailed: the disk refused.
        """
        from engine.store.snapshot import to_bytes

        path = self.path(snapshot.key)
        with self._failing(path):
            with contextlib.suppress(FileNotFoundError):  # gone, or going: another process makes room
                self._touch(path)
                return path.stat().st_size
            data = to_bytes(snapshot)
            if len(data) > self.budget:
                raise StoreFull(len(data), self.budget)
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may have been taken away
            self._make_room(len(data))
            self._write(path, data)
            self._make_room(0)  # another process may have written meanwhile
            return len(data)

    def _write(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMPORARY}")
        try:
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)

    # ---------------------------------------------------------------------------------------- many

    def keep(self, prefixes: Iterable[str]) -> None:
        """States of these prefix keys are given up last; replaces what was kept before."""
        self._kept = frozenset(prefix[:32] for prefix in prefixes)

    def forget(self, prefixes: Iterable[str]) -> None:
        """Deletes the states of these prefix keys, of every model.

        Raises:
            DiskFailed: the disk refused.
        """
        gone = frozenset(prefix[:32] for prefix in prefixes)
        with self._failing(self.folder):
            for path, _, _ in list(_files(self.folder)):
                if path.name[:32] in gone:
                    path.unlink(missing_ok=True)

    def used(self) -> int:
        """Bytes of all files here, those being written included."""
        return sum(size for _, size, _ in _files(self.folder))

    def _make_room(self, nbytes: int) -> None:
        """Deletes until `nbytes` more fit the budget."""
        files = sorted(_files(self.folder), key=lambda each: (each[0].name[:32] in self._kept, each[2]))
        used = sum(size for _, size, _ in files)
        for path, size, _ in files:
            if used + nbytes <= self.budget:
                return
            if not path.name.endswith(TEMPORARY):
                path.unlink(missing_ok=True)
                used -= size

    def _sweep(self) -> None:
        """Deletes what processes that died left half written."""
        for path, _, modified in list(_files(self.folder)):
            if path.name.endswith(TEMPORARY) and time.time() - modified > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)

    def _touch(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            os.utime(path)

    @contextlib.contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskFailed(str(path), error.strerror or str(error)) from error


_BINARY = getattr(os, "O_BINARY", 0)


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """(path, bytes, time last used) of our files; what others put here is left alone."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((SUFFIX, TEMPORARY)) and entry.name[:32].isalnum():
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # another process deleted it meanwhile
                yield folder / entry.name, stat.st_size, stat.st_mtime


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable; Windows neither can nor needs to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
