"""What Python, PyTorch and CUDA raise when memory runs out, told apart from other errors. Loads no torch."""

from __future__ import annotations

import re

from engine import memory
from engine.errors import OutOfMemory

# beside MemoryError: words of the allocators of PyTorch, of CUDA and of its libraries
_WORDS = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "cudaErrorMemoryAllocation",
)
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_WANTED = re.compile(r"allocate ([\d.]+) (bytes|KiB|MiB|GiB)")
_FREE = re.compile(r"of which ([\d.]+) (bytes|KiB|MiB|GiB) is free")


def shortage(error: BaseException) -> OutOfMemory | None:
    """The engine's error, with the bytes that the message names (0: none); None for another error."""
    text = str(error)
    if not isinstance(error, MemoryError) and not any(word in text for word in _WORDS):
        return None
    on_card = _amount(_FREE, text)
    free = on_card if on_card or "CUDA" in text else memory.available_bytes() or 0
    return OutOfMemory(_amount(_WANTED, text), free)


def _amount(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0
