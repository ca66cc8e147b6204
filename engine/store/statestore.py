"""A folder of snapshots within a byte budget. A cache: whatever is lost here is rebuilt from tokens.

Several processes may use one folder: files appear by rename and vanish whole, and none is ever changed. The
budget always wins; what goes first is the ladders' to say (`engine.store.ladder`).

Two folders inside: states that have a name (`HELD`) count, and never go; when they and the pinned ones alone
fill the budget, nothing more is saved. States of replies that go on (`PASSING`) are given up when the reply
ends; those that a crash left behind, after a day.

Nothing here loads torch: states can be forgotten before any model is loaded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, StateCorrupt, StateMismatch, StateMissing, StoreFull
from engine.store import writing
from engine.store.folder import SUFFIX, Listing, files, total
from engine.store.ladder import SHORT, Ladders
from engine.store.writing import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from engine.store.ladder import File
    from engine.store.snapshot import Layout, Snapshot
    from engine.types import Ladder, StateKey

HELD, PASSING = "held", "passing"
MOST_BYTES = 20_000_000_000
SPARE = 20  # when some must go, this part of them more goes, so that not every save has to look
PASSING_SECONDS = 86_400.0
ABANDONED_SECONDS = 60.0  # no write takes longer: an older temporary file belongs to a process that died


def file_name(key: StateKey) -> str:
    """A snapshot's file: the start of its prefix key, then the start of its digest."""
    return f"{key.prefix[:SHORT]}-{key.digest()[:32]}{SUFFIX}"


def place(folder: Path, key: StateKey) -> Path:
    """Where the snapshot of `key` is, or would be."""
    usual, *others = places(folder, key)
    return next((each for each in others if each.is_file()), usual)


def places(folder: Path, key: StateKey) -> Iterator[Path]:
    """Where the snapshot of `key` may be, the usual place first."""
    name = file_name(key)
    yield folder / name
    yield folder / HELD / name
    yield folder / PASSING / name


def default_budget(folder: Path) -> int:
    """The smaller of 20 GB and a tenth of what is free (this store's own bytes count as free)."""
    ours = sum(map(total, (folder, folder / HELD, folder / PASSING)))
    free = shutil.disk_usage(folder).free + ours
    return min(MOST_BYTES, free // 10)


class StateStore:
    """Snapshots by key.

    Raises:
        DiskFailed: the folder cannot be made or read.
    """

    def __init__(
        self, folder: Path, budget_bytes: int | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`budget_bytes` None: `default_budget`, computed now.  `clock`: seconds since the epoch."""
        self.clock = clock
        self.folder, self.held, self.passing = folder, folder / HELD, folder / PASSING
        self._ladders = Ladders()
        self._parts, self._prefixes = tuple[frozenset[str], ...](), frozenset[str]()
        self._listings = (Listing(self.held), Listing(folder), Listing(self.passing))
        with self._failing(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._sweep()
            self.set_budget(budget_bytes)

    def set_budget(self, budget_bytes: int | None) -> None:
        """Bytes that may lie here from the next save on; None: `default_budget`, computed now."""
        with self._failing(self.folder):
            self.budget = default_budget(self.folder) if budget_bytes is None else budget_bytes
            self._make_room(0)

    @contextlib.contextmanager
    def _changing(self, path: Path) -> Iterator[None]:
        """What is done inside changes the folders; what the system refuses there is raised as DiskFailed."""
        try:
            with self._failing(path):
                yield
        finally:
            for each in self._listings:
                each.look_again()

    # ---------------------------------------------------------------------------------------- one snapshot

    def path(self, key: StateKey) -> Path:
        """Where the snapshot of `key` is."""
        return place(self.folder, key)

    def __contains__(self, key: StateKey) -> bool:
        return self.path(key).is_file()

    def prefixes(self) -> frozenset[str]:
        """The first 32 hex digits of the prefix key of every snapshot here, of whatever model."""
        parts = tuple(each.prefixes() for each in self._listings)
        if parts != self._parts:
            self._parts, self._prefixes = parts, frozenset().union(*parts)
        return self._prefixes

    def load(self, key: StateKey, layout: Layout, arch: str) -> Snapshot | None:
        """The snapshot of `key`, None if there is none. One that cannot be used is deleted.

        Raises:
            StateCorrupt, StateMismatch: it was there, and damaged or of something else.
        """
        for path in places(self.folder, key):
            with contextlib.suppress(FileNotFoundError):
                return self._read(path, key, layout, arch)
        return None

    def _read(self, path: Path, key: StateKey, layout: Layout, arch: str) -> Snapshot:
        """Raises: FileNotFoundError, and what `load` does."""
        from engine.store.snapshot import read

        try:
            snapshot = read(path, key, layout, arch)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StateCorrupt(str(path), error.strerror or "cannot be read") from error
        except (StateCorrupt, StateMismatch):
            self.discard(key)
            raise
        with contextlib.suppress(FileNotFoundError):  # another process gave it up since it was read
            self._touch(path)
        return snapshot

    def discard(self, key: StateKey) -> None:
        """Deletes a snapshot that cannot be used, or is not needed any more."""
        with self._changing(self.folder), contextlib.suppress(OSError):
            self.path(key).unlink()

    def save(self, snapshot: Snapshot) -> int:
        """Writes the snapshot durably (file and folder synced); one already there stays. Returns its bytes.

        Raises:
            StoreFull: it is larger than what the budget leaves beside pinned states and those with a name.
            DiskFailed: the disk refused.
        """
        from engine.store.snapshot import to_bytes

        with self._failing(self.folder):
            path = self.path(snapshot.key)
            with contextlib.suppress(FileNotFoundError):  # gone, or going: another process makes room
                self._touch(path)
                return path.stat().st_size
            data = to_bytes(snapshot)
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may have been taken away
            self._make_room(len(data))
            writing.write(path, data)
            self._listings[1].changed({path.name: len(data)})
            self._make_room(0)  # another process may have written meanwhile
            return len(data)

    def save_passing(self, snapshot: Snapshot) -> None:
        """Writes the snapshot of a reply that goes on, as durably. Raises: see `save`."""
        from engine.store.snapshot import to_bytes

        path = self.passing / file_name(snapshot.key)
        with self._changing(path):
            data = to_bytes(snapshot)
            self.passing.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(data))
            writing.write(path, data)

    def passed(self, keys: Iterable[StateKey]) -> None:
        """These replies have ended, or have later snapshots."""
        for each in keys:
            with self._changing(self.passing), contextlib.suppress(OSError):
                (self.passing / file_name(each)).unlink()

    # ---------------------------------------------------------------------------------------- names

    def hold(self, key: StateKey) -> int:
        """Gives a saved state a name: it never goes from now on. Returns its bytes.

        Raises:
            StateMissing: it is not saved.
            StoreFull: with it, nothing but states that never go would fill the budget.
            DiskFailed: the disk refused.
        """
        path, target = self.folder / file_name(key), self.held / file_name(key)
        with self._changing(path):
            self.held.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target.is_file():
                self._check_holding(path, key)
                writing.move(path, target)
            return target.stat().st_size

    def _check_holding(self, path: Path, key: StateKey) -> None:
        if not path.is_file():
            raise StateMissing(key.prefix)
        held, size = total(self.held), path.stat().st_size
        if held + size > self.budget:
            raise StoreFull(size, self.budget, held)

    def release(self, keys: Iterable[str], *, forget: bool = False) -> None:
        """Takes the name from states, by file name; they may go again, or with `forget` go at once.

        Raises:
            DiskFailed: the disk refused.
        """
        for name in keys:
            held = self.held / name
            with self._changing(held), contextlib.suppress(FileNotFoundError):
                if forget:
                    held.unlink()
                else:
                    writing.move(held, self.folder / name)

    # ---------------------------------------------------------------------------------------- many

    def tell(self, ladders: Iterable[Ladder]) -> None:
        """What is known of conversations, in place of what was known of those."""
        for each in ladders:
            self._ladders.tell(each)

    def keep(self, prefixes: Iterable[str]) -> None:
        """States of these prefix keys are given up last; replaces what was kept before."""
        self._ladders.keep(prefixes)

    def forget(self, prefixes: Iterable[str], *, passing: bool = False) -> None:
        """Deletes the states of these prefix keys, of every model, and what crashes left behind, whose keys
        nobody knows; those with a name stay.

        Args:
            passing: what replies that go on have left, too, wherever they are written: they would be missed
                only by a crash within the next seconds.

        Raises:
            DiskFailed: the disk refused.
        """
        gone = frozenset(prefix[:SHORT] for prefix in prefixes)
        with self._changing(self.folder):
            self._sweep_passing(-ABANDONED_SECONDS if passing else ABANDONED_SECONDS)
            for each in _whole(self.folder):
                if each.short in gone:
                    (self.folder / each.name).unlink(missing_ok=True)

    def thin(self) -> tuple[int, int]:
        """Gives up what conversations can do without; how many states, and their bytes.

        Raises:
            DiskFailed: the disk refused.
        """
        with self._changing(self.folder):
            spare = self._ladders.thinned(_whole(self.folder), self.clock())
            for each in spare:
                (self.folder / each.name).unlink(missing_ok=True)
        return len(spare), sum(each.size for each in spare)

    def used(self) -> int:
        """Bytes of all files here, those being written included."""
        return sum(each.total() for each in self._listings)

    def use(self) -> tuple[int, int, int]:
        """Bytes here, the budget, and bytes of the states that have a name."""
        return self.used(), self.budget, self._listings[0].total()

    def _make_room(self, nbytes: int) -> None:
        """Deletes until `nbytes` more fit the budget.

        Raises:
            StoreFull: what may go is not enough for that; nothing went.
        """
        over = self.used() + nbytes - self.budget
        if over <= 0:
            return
        here = _whole(self.folder)
        going = self._ladders.order(here, self.clock())
        may = sum(each.size for each in going)
        if nbytes and over > may:
            raise StoreFull(nbytes, self.budget, self.used() - may)
        more, gone = len(here) // SPARE, set[str]()
        for each in going:
            if over <= 0 and more <= 0:
                break
            more -= over <= 0
            (self.folder / each.name).unlink(missing_ok=True)
            gone.add(each.name)
            over -= each.size
        self._listings[1].changed({}, gone)

    def _sweep(self) -> None:
        """Deletes what processes that died left half written, and their replies' states of long ago."""
        self._sweep_passing(PASSING_SECONDS)
        for folder in (self.folder, self.held, self.passing):
            for each in files(folder):
                if each.name.endswith(TEMPORARY) and self.clock() - each.used > ABANDONED_SECONDS:
                    (folder / each.name).unlink(missing_ok=True)

    def _sweep_passing(self, seconds: float) -> None:
        for each in files(self.passing):
            if self.clock() - each.used > seconds:
                (self.passing / each.name).unlink(missing_ok=True)

    def _touch(self, path: Path) -> None:
        """Raises: FileNotFoundError."""
        try:
            os.utime(path, (now := self.clock(), now))
        except FileNotFoundError:
            raise
        except OSError:
            return  # a read-only folder: it is of use all the same

    @contextlib.contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskFailed(str(path), error.strerror or str(error)) from error


def _whole(folder: Path) -> list[File]:
    return [each for each in files(folder) if not each.name.endswith(TEMPORARY)]
