"""How much memory a run takes at most."""

from __future__ import annotations

import sys

import torch


class Peak:
    """From when it is made on. On a card the allocator's reserve, on a CPU what the process has grown by."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._before = 0 if device.type == "cuda" else _resident()

    def bytes(self) -> int:
        """0 where the system does not say."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_reserved(self._device)
        return max(0, _most_resident() - self._before)

    def device_total(self) -> int:
        """Taken on the card by everybody; 0 on a CPU."""
        if self._device.type != "cuda":
            return 0
        free, total = torch.cuda.mem_get_info(self._device)
        return total - free


def _resident() -> int:
    """Bytes that this process holds in memory now; 0 where the system does not say."""
    return _status("VmRSS")


def _most_resident() -> int:
    if found := _status("VmHWM"):
        return found
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _status(row: str) -> int:
    """Bytes, from Linux's table of this process."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123  a system's file, not one of ours
            lines = file.read().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{row}:")), 0)
