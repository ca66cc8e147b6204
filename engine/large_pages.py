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
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine import memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from engine.models.model import Model

log = logging.getLogger("engine")

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
OURS = Path("/proc/self/maps")
PAGE = 2 << 20  # bytes
PIECE = 4 * PAGE  # a few milliseconds; where memory has to be made free in large pages, a tenth of a second
WORTH_IT = 64 << 20  # bytes of weights, from which the processor's caches do not hold them
FREE = 2  # so many times the bytes that are still to be moved must be free: the file's pages count as free
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0)  # what takes a file's place is never refused halfway
FIXED = 0x10  # MAP_FIXED, which `mmap` does not name

Span = tuple[int, int]  # addresses, from and to


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
    spans = _whole_pages(_overlaps(_spans(held), _mapped_files()))
    left = total = sum(end - start for start, end in spans)
    if total < WORTH_IT or not _gives_large_pages():
        return
    for start, end in _pieces(spans):
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


# ------------------------------------------------------------------------------------------------ where


def _spans(tensors: Iterable[Tensor]) -> list[Span]:
    """Where the numbers lie, in order; neighbours are one span."""
    found = ((x.data_ptr(), x.nbytes) for x in tensors if _is_dense(x))
    return _joined(sorted((start, start + nbytes) for start, nbytes in found if nbytes))


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.ndim == 2 and x.mT.is_contiguous())


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those with less than a page between them made one."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start < joined[-1][1] + PAGE:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _mapped_files(maps: Path = OURS) -> list[Span]:
    """This program's private mappings of files, in order; none where the system does not tell."""
    if sys.platform != "linux":
        return []
    rows = (line.split(maxsplit=5) for line in maps.read_text(errors="replace").splitlines())
    files = (row for row in rows if len(row) == 6 and row[4] != "0" and row[1][3] == "p" and row[1][0] == "r")
    return [(int(start, 16), int(end, 16)) for start, end in (row[0].split("-") for row in files)]


def _overlaps(spans: list[Span], others: list[Span]) -> list[Span]:
    pairs = (
        (max(start, low), min(end, high))
        for start, end in spans
        for low, high in others
        if start < high and low < end
    )
    return sorted(pairs)


def _whole_pages(spans: Iterable[Span]) -> list[Span]:
    """What of each span is made of whole large pages."""
    inner = ((-(-start // PAGE) * PAGE, end // PAGE * PAGE) for start, end in spans)
    return [(start, end) for start, end in inner if start < end]


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
