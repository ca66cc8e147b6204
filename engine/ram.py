"""Snapshots in the computer's memory: the newest of every model, before anybody has to read a disk.

Those of a model whose identity is not known yet are here alone, and are written when it is. All are a cache:
what is lost here (too many, a crash, the end of the program) is rebuilt from its tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.memory import total_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.store.fingerprint import Mark
    from engine.store.snapshot import Snapshot

MOST_BYTES = 1 << 30  # 15 states of a 13B model, 80 of a 1.5B


def default_budget() -> int:
    """The smaller of 1 GB and a sixteenth of the computer's memory."""
    return min(MOST_BYTES, (total_bytes() or MOST_BYTES) // 16)


class Place(NamedTuple):
    """Names a snapshot while its model may still lack an id."""

    model: Mark
    tier: str
    adapter: str
    initial: str
    prefix: str


class Ram:
    """Snapshots (on the CPU), the last used within a byte budget."""

    def __init__(self, budget: int | None = None) -> None:
        """`budget` None: `default_budget`."""
        self.budget = default_budget() if budget is None else budget
        self.used = 0
        self._snapshots: OrderedDict[Place, Snapshot] = OrderedDict()
        self._unsaved: set[Place] = set()

    def add(self, model: Mark, snapshot: Snapshot, *, unsaved: bool = False) -> None:
        """Keeps a snapshot, in place of one of the same chain; those used longest ago go if there are too
        many. `unsaved`: it waits for the model's id (its key names no model).
        """
        key = snapshot.key
        place = Place(model, key.tier, key.adapter, key.initial, key.prefix)
        self._drop(place)
        self._snapshots[place] = snapshot
        self.used += snapshot.state.nbytes
        if unsaved:
            self._unsaved.add(place)
        self._fit()

    def get(self, model: Mark, tier: str, adapter: str, initial: str, prefix: str) -> Snapshot | None:
        place = Place(model, tier, adapter, initial, prefix)
        if (found := self._snapshots.get(place)) is not None:
            self._snapshots.move_to_end(place)
        return found

    def set_budget(self, budget: int | None) -> None:
        """Bytes that may be kept from now on; None: `default_budget`."""
        self.budget = default_budget() if budget is None else budget
        self._fit()

    def forget(self, prefixes: Iterable[str]) -> None:
        """Lets go of the snapshots of these prefix keys, of every model."""
        gone = set(prefixes)
        for place in [each for each in self._snapshots if each.prefix in gone]:
            self._drop(place)

    def clear(self) -> None:
        """Lets go of all that is saved elsewhere."""
        for place in [each for each in self._snapshots if each not in self._unsaved]:
            self._drop(place)

    def take(self, model: Mark, identity: str) -> list[Snapshot]:
        """The snapshots of a model that waited for its id, oldest first, under it; they wait no longer."""
        places = [each for each in self._snapshots if each.model == model and each in self._unsaved]
        for place in places:
            found = self._snapshots[place]
            self._snapshots[place] = replace(found, key=replace(found.key, model=identity))
        self._unsaved -= set(places)
        return [self._snapshots[each] for each in places]

    def _fit(self) -> None:
        while self.used > self.budget and self._snapshots:
            self._drop(next(iter(self._snapshots)))

    def _drop(self, place: Place) -> None:
        if (gone := self._snapshots.pop(place, None)) is not None:
            self.used -= gone.state.nbytes
            self._unsaved.discard(place)
