"""Which saved states to do without first. Pure: names, sizes and times in, an order out.

Ladders say where in its conversation each state stands. When room is needed, these go, each kind oldest use
first; a conversation is idle when nothing of it was used for an hour:

1. states that no ladder knows (a fork, a half-finished reply);
2. the middle rungs of idle conversations, so that every 2nd stays, then every 4th, then every 8th;
3. their last eight before each tip;  4. the rest of their middle;
5. the same of conversations that are in use;
6. tips. Pinned states never go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.types import Ladder

SHORT = 32  # hex digits of a prefix key that a file's name begins with
LAST = 8  # states before a tip that are the last to be thinned
COARSEST = 3  # 2^3: every 8th
IDLE_SECONDS = 3600.0

LOOSE, MIDDLE, RECENT, REST, TIP = range(5)
STAGES = 10  # more than the kinds: those of conversations in use come after all of idle ones


class File(NamedTuple):
    """A saved state as the folder shows it."""

    name: str
    size: int
    used: float  # seconds since the epoch

    @property
    def short(self) -> str:
        return self.name[:SHORT]


@dataclass(frozen=True, slots=True)
class Rung:
    """A state's place in its conversation.

    Attributes:
        below: rungs to the nearest tip that comes after it, 0 for the tip itself.
        fineness: n, where of its path every 2^n-th rung is kept at least as long as it.
    """

    ladder: str
    below: int
    fineness: int
    is_tip: bool = False
    is_pinned: bool = False


@dataclass(slots=True)
class Ladders:
    """All that was told, by the short form of prefix keys. A state on several ladders is worth what the one
    says that needs it most.
    """

    _rungs: dict[str, tuple[Rung, ...]] = field(default_factory=dict)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _tips: frozenset[str] = frozenset()

    def tell(self, ladder: Ladder) -> None:
        """Takes a ladder in place of the one of its name."""
        for short in self._names.pop(ladder.name, ()):
            left = tuple(each for each in self._rungs.pop(short) if each.ladder != ladder.name)
            if left:
                self._rungs[short] = left
        rungs = rungs_of(ladder)
        for short, rung in rungs.items():
            self._rungs[short] = (*self._rungs.get(short, ()), rung)
        if rungs:
            self._names[ladder.name] = tuple(rungs)

    def keep(self, prefixes: Iterable[str]) -> None:
        """States of these prefix keys are tips, whatever their ladders say; replaces those before."""
        self._tips = frozenset(each[:SHORT] for each in prefixes)

    def order(self, files: Sequence[File], now: float) -> list[File]:
        """Those that may go, first those that go first."""
        used = self._last_use(files)
        placed = ((self._stage(each, used, now), each) for each in files if not self._is_pinned(each))
        return [each for _, each in sorted(placed, key=lambda pair: (pair[0], pair[1].used, pair[1].name))]

    def thinned(self, files: Sequence[File], now: float) -> list[File]:
        """Those that conversations can do without: of what stands `LAST` or more before a tip every 2nd
        stays, of what stands twice as far every 4th, of what stands four times as far every 8th. States
        that no ladder knows go where they are idle.
        """
        return [each for each in files if self._is_spare(each, now)]

    def _is_pinned(self, file: File) -> bool:
        return any(each.is_pinned for each in self._rungs.get(file.short, ()))

    def _is_tip(self, file: File) -> bool:
        return file.short in self._tips or any(each.is_tip for each in self._rungs.get(file.short, ()))

    def _is_spare(self, file: File, now: float) -> bool:
        if self._is_pinned(file) or self._is_tip(file):
            return False
        rungs = self._rungs.get(file.short)
        return all(map(_is_fine, rungs)) if rungs else now - file.used > IDLE_SECONDS

    def _last_use(self, files: Iterable[File]) -> dict[str, float]:
        """When each conversation was last of use."""
        used: dict[str, float] = {}
        for file in files:
            for each in self._rungs.get(file.short, ()):
                used[each.ladder] = max(used.get(each.ladder, 0.0), file.used)
        return used

    def _stage(self, file: File, used: Mapping[str, float], now: float) -> tuple[int, int]:
        if self._is_tip(file):
            return STAGES + TIP, 0
        rungs = self._rungs.get(file.short)
        if not rungs:
            return _after(LOOSE, file.used, now), 0
        return max(_stage_of(each, used[each.ladder], now) for each in rungs)


def _is_fine(rung: Rung) -> bool:
    """Between others that stay."""
    return rung.fineness < min(COARSEST, (rung.below // LAST).bit_length())


def _stage_of(rung: Rung, used: float, now: float) -> tuple[int, int]:
    if rung.below < LAST:
        return _after(RECENT, used, now), 0
    return _after(MIDDLE if rung.fineness < COARSEST else REST, used, now), rung.fineness


def _after(kind: int, used: float, now: float) -> int:
    return kind if now - used > IDLE_SECONDS else STAGES + kind


def rungs_of(ladder: Ladder) -> dict[str, Rung]:
    """Each rung's place, by the short form of its key."""
    tips, pinned = set(ladder.tips), set(ladder.pinned)
    below = _below(ladder, tips)
    depths: list[int] = []
    for parent in ladder.parents:
        depths.append(depths[parent] + 1 if parent >= 0 else 1)
    return {
        key[:SHORT]: Rung(ladder.name, below[at], _fineness(depths[at]), key in tips, key in pinned)
        for at, key in enumerate(ladder.rungs)
    }


def _below(ladder: Ladder, tips: set[str]) -> list[int]:
    """Rungs from each to the nearest tip after it; where none comes after it, to the nearest end."""
    far = len(ladder.rungs)
    to_tip = [0 if key in tips else far for key in ladder.rungs]
    to_end = [far] * far
    for at in range(far - 1, -1, -1):
        to_end[at] = 0 if to_end[at] == far else to_end[at]
        if (parent := ladder.parents[at]) >= 0:
            to_tip[parent] = min(to_tip[parent], to_tip[at] + 1)
            to_end[parent] = min(to_end[parent], to_end[at] + 1)
    return [end if tip >= far else tip for tip, end in zip(to_tip, to_end, strict=True)]


def _fineness(depth: int) -> int:
    """How often 2 goes into it."""
    return (depth & -depth).bit_length() - 1
