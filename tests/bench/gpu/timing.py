"""Times of several contenders in turns, so that what the machine does meets all of them."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 5
SECONDS = 0.5  # of one contender in one round


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one run, a list of rounds for each contender."""

    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.rounds[name])

    def ratios(self, ours: str, peer: str) -> list[float]:
        """How many times faster ours is, round by round."""
        return [b / a for a, b in zip(self.rounds[ours], self.rounds[peer], strict=True)]


def in_turns(contenders: Mapping[str, Callable[[], object]], device: torch.device) -> Times:
    """Each runs about `SECONDS` in each round; a round's time is that of all its runs by their number."""
    repeats = {name: _repeats(run, device) for name, run in contenders.items()}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            rounds[name].append(_seconds(run, repeats[name], device))
    return Times(rounds)


def _repeats(run: Callable[[], object], device: torch.device) -> int:
    _seconds(run, 3, device)  # compiles, captures, fills caches
    return max(3, min(5000, int(SECONDS / max(_seconds(run, 3, device), 1e-6))))


def _seconds(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Between two events on a card; by the clock elsewhere."""
    if device.type != "cuda":
        begun = time.perf_counter()
        for _ in range(repeats):
            run()
        return (time.perf_counter() - begun) / repeats
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(repeats):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / repeats


def bandwidth(device: torch.device, nbytes: int = 4 << 30) -> float:
    """Bytes that the device reads in a second: the denominator of "share of the bandwidth"."""
    data = torch.ones(nbytes // 4, dtype=torch.float32, device=device)
    return nbytes / in_turns({"read": data.sum}, device).median("read")


def allocated(device: torch.device) -> int:
    """Bytes that tensors take on a card; 0 elsewhere, where nobody counts them."""
    if device.type != "cuda":
        return 0
    gc.collect()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated(device)
