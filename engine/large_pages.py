"""Weights in memory of large pages, for a CPU that reads all of them for every token.

A mapped file comes in pages of 4 KB, each of which has to be looked up; memory of a program's own may come in
pages of 2 MB, from which the same step takes three quarters of the time (tests/bench/README.md). So, piece
by piece while nobody waits, memory of our own takes the file's place at the same addresses, and holds the
same bytes. Linux alone lets us do that. Where large pages are switched off or memory is scarce, weights stay
in their file.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from engine import memory
from engine.maps import Span, mapped_files, overlaps, spans, whole_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from engine.models.model import Model

log = logging.getLogger("engine")

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGE = 2 << 20  # bytes
PIECE = PAGE  # some milliseconds, which a request that comes meanwhile waits
WORTH_IT = 64 << 20  # bytes of weights, from which the processor's caches do not hold them
FREE = 2  # so many times the bytes that are still to be moved must be free: the file's pages count as free
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0)  # what takes a file's place is never refused halfway
FIXED = 0x10  # MAP_FIXED, which `mmap` does not name


def quickening(model: Model) -> Iterator[int]:
    """Moves all that a token reads, on a CPU: not the embedding, of which it reads a row. See `moving`."""
    if model.device.type != "cpu":
        return iter(())
    return moving(x for name, x in model.tensors.items() if name != "emb.weight")


def moving(tensors: Iterable[Tensor]) -> Iterator[int]:
    """Moves what lies in mapped files into large pages; yields bytes moved after each piece.

    Between two pieces, and only then, the tensors may be used: their addresses and numbers stay. Whoever
    reads them meanwhile, in another thread, may find nothing there.

    Args:
        tensors: on the CPU. What is not side by side in memory, or is not mapped from a file, stays.
    """
    held = tuple(tensors)  # as long as pieces are left: nothing else may come to lie there
    places = whole_pages(overlaps(spans(held, gap=PAGE), mapped_files()), PAGE)
    left = total = sum(end - start for start, end in places)
    if total < WORTH_IT or not _gives_large_pages():
        return
    for start, end in _pieces(places):
        if (memory.available_bytes() or 0) < FREE * left:
            log.info("large pages hold %d of %d bytes of weights: memory is scarce", total - left, total)
            return
        _move(start, end - start)
        left -= end - start
        yield end - start
    log.info("large pages hold %d bytes of weights", total)


def _gives_large_pages() -> bool:
    try:
        return "[never]" not in SWITCH.read_text()
    except OSError:
        return False


def _pieces(spans: Iterable[Span]) -> Iterator[Span]:
    for start, end in spans:
        for at in range(start, end, PIECE):
            yield at, min(at + PIECE, end)


# ------------------------------------------------------------------------------------------------ moving


def _move(at: int, nbytes: int) -> None:
    """Puts memory of our own in the place of what is at this address, with the same bytes.

    Whoever unmaps the file later unmaps this, too: it is the same addresses.

    Raises:
        MemoryError: the system refuses.
    """
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long
    libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    kept = ctypes.create_string_buffer(nbytes)
    ctypes.memmove(kept, at, nbytes)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | FIXED | NORESERVE
    if libc.mmap(at, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) != at:
        raise MemoryError
    libc.madvise(at, nbytes, mmap.MADV_HUGEPAGE)
    ctypes.memmove(at, kept, nbytes)
