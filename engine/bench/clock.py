"""Seconds and bytes of work on a device: CUDA's own events there, the wall clock on a CPU."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_SECONDS = 0.02  # shorter work is timed several times at once
MOST_BLOCKS = 200


class Clock:
    """Times work on one device."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device

    def once(self, work: Callable[[], object], times: int = 1) -> float:
        """Seconds from the beginning of the work to its end on the device, done so many times."""
        if self._cuda:
            return self._on_cuda(work, times)
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - begun

    def _on_cuda(self, work: Callable[[], object], times: int) -> float:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(self._device)
        begin.record()
        for _ in range(times):
            work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    def median(self, work: Callable[[], object], seconds: float) -> float:
        """The median of about `seconds` of repetitions, after two that warm up."""
        work()
        first = self.once(work)
        times = max(1, int(BLOCK_SECONDS / max(first, 1e-6)))
        blocks = min(MOST_BLOCKS, max(3, int(seconds / max(first * times, 1e-6))))
        return statistics.median(self.once(work, times) for _ in range(blocks)) / times

    def memory_bytes(self) -> int:
        """CUDA: most that was allocated since the process began; CPU: resident bytes now, 0 if unknown."""
        return torch.cuda.max_memory_allocated(self._device) if self._cuda else resident_bytes() or 0


def resident_bytes() -> int | None:
    """Resident memory of this process; None where the system does not say."""
    return _status("VmRSS")


def peak_bytes() -> int | None:
    """The most that it ever was."""
    return _status("VmHWM")


def _status(row: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(row)), None)
