"""Where tensors lie in this program's memory, and which of it is mapped from files. Linux alone tells."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

OURS = Path("/proc/self/maps")

Span = tuple[int, int]  # addresses, from and to


def spans(tensors: Iterable[Tensor], gap: int) -> list[Span]:
    """Where the numbers lie, in order; those with less than `gap` bytes between them are one span.

    What is not side by side in memory, in any order, is left out.
    """
    found = ((x.data_ptr(), x.nbytes) for x in tensors if _is_dense(x))
    return joined(sorted((start, start + nbytes) for start, nbytes in found if nbytes), gap)


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.ndim == 2 and x.mT.is_contiguous())


def joined(spans: Iterable[Span], gap: int) -> list[Span]:
    """Spans in order, those with less than `gap` bytes between them made one."""
    found: list[Span] = []
    for start, end in spans:
        if found and start < found[-1][1] + gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def mapped_files(maps: Path = OURS) -> list[Span]:
    """This program's private mappings of files, in order; none where the system does not tell."""
    if sys.platform != "linux":
        return []
    rows = (line.split(maxsplit=5) for line in maps.read_text(errors="replace").splitlines())
    files = (row for row in rows if len(row) == 6 and row[4] != "0" and row[1][3] == "p" and row[1][0] == "r")
    return [(int(start, 16), int(end, 16)) for start, end in (row[0].split("-") for row in files)]


def overlaps(spans: list[Span], others: list[Span]) -> list[Span]:
    """What both hold."""
    pairs = (
        (max(start, low), min(end, high))
        for start, end in spans
        for low, high in others
        if start < high and low < end
    )
    return sorted(pairs)


def whole_pages(spans: Iterable[Span], page: int) -> list[Span]:
    """What of each span is made of whole pages of so many bytes."""
    inner = ((-(-start // page) * page, end // page * page) for start, end in spans)
    return [(start, end) for start, end in inner if start < end]


def forget(*tensors: Tensor) -> None:
    """Takes what was read of mapped files out of this program's memory; it is read again when looked at.

    The tensors must not have been written to.
    """
    for start, end in whole_pages(overlaps(spans(tensors, 1), mapped_files()), mmap.PAGESIZE):
        libc = ctypes.CDLL(None)
        libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        libc.madvise(start, end - start, mmap.MADV_DONTNEED)
