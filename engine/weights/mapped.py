"""A file mapped into memory, and tensors that lie in it without being copied.

The mapping is private and stays valid when the file is deleted or replaced by another (which is how downloads
and writers of ours put files in place). A file that is shortened in place under a running program takes pages
away that tensors lie in: the system then ends the process (SIGBUS), and the engine's process is started anew.
`check_unchanged` finds a file that changed while it was read.
"""

from __future__ import annotations

import mmap
import os
import warnings
from typing import TYPE_CHECKING

from engine.errors import DiskFailed, WeightsCorrupt

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

ITEM_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "int8": 1, "uint8": 1, "int32": 4, "int64": 8}


def torch_dtypes() -> dict[str, torch.dtype]:
    """PyTorch's dtypes by the keys of `ITEM_BYTES`."""
    import torch

    from engine.models.tiers import TIERS

    return TIERS | {"int8": torch.int8, "uint8": torch.uint8, "int32": torch.int32, "int64": torch.int64}


def mark(path: Path) -> tuple[int, int, int]:
    """What tells one content of a file from another without reading it: size, time of change, number."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


class MappedFile:
    """A file's bytes, read when they are looked at.

    Raises:
        DiskFailed: it cannot be mapped.  WeightsCorrupt: it is empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._mark = mark(path)
                self.size = os.fstat(file.fileno()).st_size
                if not self.size:
                    raise WeightsCorrupt(str(path), "byte 0", "weights", "an empty file")
                self._map = _mapped(file.fileno())
        except OSError as error:
            raise DiskFailed(str(path), error.strerror or str(error)) from error
        self.bytes = memoryview(self._map)

    def check_unchanged(self) -> None:
        """Raises WeightsCorrupt if the file is no longer the one that was opened."""
        try:
            now = mark(self.path)
        except OSError:
            return  # deleted or moved: what was mapped stays
        if now[2] == self._mark[2] and now != self._mark:
            raise WeightsCorrupt(str(self.path), "the file", "the same while it is read", "changed")

    def tensor(self, start: int, dtype: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor whose first byte is at `start`; only one that lies crookedly is copied.

        Args:
            dtype: a key of `ITEM_BYTES`.

        The caller has compared its end with `size`.
        """
        import torch

        stored, item, count = torch_dtypes()[dtype], ITEM_BYTES[dtype], 1
        for length in shape:
            count *= length
        if not count:
            return torch.empty(shape, dtype=stored)
        if start % item:
            copy = bytearray(self.bytes[start : start + count * item])
            return torch.frombuffer(copy, dtype=stored).reshape(shape)
        with warnings.catch_warnings():  # of buffers that cannot be written to: nobody writes to weights
            warnings.simplefilter("ignore", UserWarning)
            return torch.frombuffer(self._map, dtype=stored, count=count, offset=start).reshape(shape)


def _mapped(handle: int) -> mmap.mmap:
    """Copy on write where the system grants that for the whole file, else not to be written to."""
    try:
        return mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
    except OSError:  # larger than main memory: copies could not all be kept
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
