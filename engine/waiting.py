"""Snapshots of models whose identity is not known yet: kept in RAM, written when it is.

They are a cache, as all snapshots are: what is lost here (too many, a crash, the end of the program) is
rebuilt from its tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.store.fingerprint import Mark
    from engine.store.snapshot import Snapshot

MOST_BYTES = 1 << 29  # 7 states of a 13B model, 40 of a 1.5B


class Waiting:
    """Snapshots (on the CPU, with an empty model id in their keys), the newest within a byte budget."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        # by model, tier, initial state, prefix key
        self._snapshots: OrderedDict[tuple[Mark, str, str, str], Snapshot] = OrderedDict()

    def add(self, model: Mark, snapshot: Snapshot) -> None:
        """Keeps a snapshot, in place of one of the same chain; the oldest go if there are too many."""
        place = (model, snapshot.key.tier, snapshot.key.initial, snapshot.key.prefix)
        self._snapshots[place] = snapshot
        self._snapshots.move_to_end(place)
        while sum(each.state.nbytes for each in self._snapshots.values()) > self._most:
            self._snapshots.popitem(last=False)

    def get(self, model: Mark, tier: str, initial: str, prefix: str) -> Snapshot | None:
        return self._snapshots.get((model, tier, initial, prefix))

    def forget(self, prefixes: Iterable[str]) -> None:
        """Lets go of the snapshots of these prefix keys, of every model."""
        gone = set(prefixes)
        for place in [each for each in self._snapshots if each[3] in gone]:
            del self._snapshots[place]

    def take(self, model: Mark, identity: str) -> list[Snapshot]:
        """The snapshots of a model, oldest first, under its identity; they wait no longer."""
        places = [each for each in self._snapshots if each[0] == model]
        taken = [self._snapshots.pop(each) for each in places]
        return [replace(each, key=replace(each.key, model=identity)) for each in taken]
