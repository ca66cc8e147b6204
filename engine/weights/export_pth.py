"""Writes official `.pth` files: the zip that `torch.save` makes of a flat table, one tensor after the other.

`torch.save` itself would hold every converted tensor at once. Here the pickle is made from stand-ins that
know only their shape, and the values follow into their entries as they come.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch._utils import _rebuild_tensor_v2

from engine.weights.outgoing import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.weights.outgoing import Outgoing

_STORAGES = {
    torch.float32: torch.FloatStorage,
    torch.bfloat16: torch.BFloat16Storage,
    torch.float16: torch.HalfStorage,
}
_PROTOCOL = 2  # what torch.save writes and weights_only reads
_ALIGNED = 64  # where torch.save begins its storages
_LOCAL_HEADER, _ZIP64_EXTRA, _EXTRA_HEADER = 30, 20, 4

Entry = tuple[str, tuple[int, ...], torch.dtype]


@dataclass(frozen=True, slots=True)
class _Storage:
    """Stands for the storage in the entry "data/<key>"."""

    key: str
    numel: int
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class _Stored:
    """Stands for a contiguous tensor over the whole of a storage."""

    storage: _Storage
    shape: tuple[int, ...]

    def rebuilt(self) -> tuple[Any, ...]:
        strides = torch.empty(self.shape, device="meta").stride()
        return self.storage, 0, tuple(self.shape), tuple(strides), False, OrderedDict()


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return "storage", _STORAGES[obj.dtype], obj.key, "cpu", obj.numel
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _Stored):
            return _rebuild_tensor_v2, obj.rebuilt()
        return NotImplemented


def _pickled(entries: list[Entry]) -> bytes:
    table = OrderedDict(
        (name, _Stored(_Storage(str(i), torch.Size(shape).numel(), dtype), shape))
        for i, (name, shape, dtype) in enumerate(entries)
    )
    out = io.BytesIO()
    _Pickler(out, _PROTOCOL).dump(table)
    return out.getvalue()


def _info(archive: zipfile.ZipFile, name: str, nbytes: int) -> zipfile.ZipInfo:
    """The archive's next entry, padded so that its data begins at a multiple of 64."""
    info = zipfile.ZipInfo(f"archive/{name}")
    info.file_size = nbytes
    large = nbytes * 1.05 > zipfile.ZIP64_LIMIT  # zipfile's own rule for one more field
    header = _LOCAL_HEADER + len(info.filename) + _EXTRA_HEADER + large * _ZIP64_EXTRA
    padding = -(archive.start_dir + header) % _ALIGNED
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    return info


def write_table(path: Path, entries: list[Entry], get: Callable[[str], Tensor]) -> Iterator[int]:
    """A flat table of tensors; yields the bytes of values written so far.

    Args:
        get: the tensor of an entry's name, in its shape and dtype, contiguous.
    """
    table, done = _pickled(entries), 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("data.pkl", table), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(_info(archive, name, len(content)), content)
        for i, (name, _, _) in enumerate(entries):
            x = get(name)
            with archive.open(_info(archive, f"data/{i}", x.nbytes), "w") as entry:
                for piece in pieces(x):
                    entry.write(piece)
                    done += len(piece)
                    yield done


def write_pth(path: Path, model: Outgoing) -> Iterator[int]:
    """Official names and shapes, as `torch.load(mmap=True, weights_only=True)` reads them."""
    entries = [(name, shape, model.dtypes[name]) for name, shape in model.shapes.items()]
    return write_table(path, entries, model.value)
