"""What can be said of a state by looking at it: how much each head remembers, and how two states differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.errors import DiskFailed
from engine.models.state import relative_difference
from engine.store.header import read_header
from engine.types import Inspected, StateProfile

if TYPE_CHECKING:
    from torch import Tensor

    from engine.store.header import Header
    from engine.types import InspectRequest

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
MATRIX = "wkv_BLHVK"  # versions 5 to 7
AVERAGE = "numerator_BLC"  # RWKV-4: the weighted sum of values


def inspected(request: InspectRequest) -> Inspected:
    """Raises:
    StateCorrupt: a file is no state file.  DiskFailed: it cannot be read.
    """
    files = [_read(Path(each)) for each in request.paths]
    profiles = tuple(_profile(path, header, tensors) for path, header, tensors in files)
    if len(files) < 2:
        return Inspected(profiles)
    one, other = files[0][2], files[1][2]
    changes = _changes(one, other)
    if {name: x.shape for name, x in one.items()} != {name: x.shape for name, x in other.items()}:
        return Inspected(profiles, changes)
    pairs = [relative_difference(other[name], x) for name, x in one.items()]
    return Inspected(profiles, changes, max(pairs, default=0.0))


def _read(path: Path) -> tuple[Path, Header, dict[str, Tensor]]:
    try:
        header = read_header(path)
        with path.open("rb") as file:
            file.seek(header.begin)
            data = bytearray(file.read(header.nbytes))
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error
    tensors = {
        name: torch.frombuffer(data[begin:end], dtype=DTYPES[code]).reshape(shape)
        for name, (code, shape, begin, end) in header.tensors.items()
        if end > begin
    }
    return path, header, tensors


def _profile(path: Path, header: Header, tensors: dict[str, Tensor]) -> StateProfile:
    said = header.metadata
    length = said.get("length", "")
    return StateProfile(
        path=str(path),
        arch=said.get("arch", ""),
        model=said.get("key.model", ""),
        tier=said.get("key.tier", ""),
        length=int(length) if length.isdecimal() and len(length) < 19 else 0,
        nbytes=header.nbytes,
        norms=_table(_heads(tensors)),
        shifts=tuple((name, _norms(x)) for name, x in tensors.items() if "shift" in name and x.dim() == 3),
    )


def _heads(tensors: dict[str, Tensor]) -> Tensor:
    """The wkv state of batch 1 as [L,H,numbers]; RWKV-4 has one head."""
    x = tensors.get(MATRIX, tensors.get(AVERAGE, torch.zeros(1, 0, 1)))
    if x.dim() == 5 and x.shape[0] == 1:
        return x[0].double().flatten(2)
    return x[0].double()[:, None] if x.dim() == 3 and x.shape[0] == 1 else torch.zeros(0, 1, 1)


def _table(x: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in x.norm(dim=-1).tolist())


def _norms(x: Tensor) -> tuple[float, ...]:
    return tuple(x[0].double().norm(dim=-1).tolist())


def _changes(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[tuple[float, ...], ...]:
    a, b = _heads(one), _heads(other)
    if a.shape != b.shape:
        return ()
    return tuple(tuple(row) for row in ((b - a).norm(dim=-1) / a.norm(dim=-1).clamp_min(1e-30)).tolist())
