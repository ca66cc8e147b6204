"""A state that another machine saved: checked as far as it can be, and never taken for one of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import DiskFailed, StateCorrupt, StateMismatch
from engine.models.state import State, layout
from engine.sampling import SamplerState
from engine.store.header import read_header
from engine.store.profile import DTYPES
from engine.store.snapshot import Snapshot
from engine.types import StateKey

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.store.header import Header
    from engine.types import ModelInfo

SNAPSHOT = "snapshot"  # a form of `InitialRequest`
MOST_PENDING = 64


def read_outside(path: Path, zero: State, info: ModelInfo, id_: str) -> Snapshot:
    """The state in a file, as one of the loaded model under the initial id `id_`; in another tier of the same
    weights its numbers are rounded to those of this one.

    Args:
        zero: a state of the model, of batch 1.

    Raises:
        StateMismatch: it is of another model.  StateCorrupt: it is damaged.  DiskFailed: it cannot be read.
    """
    try:
        header = read_header(path)
        _check(header, zero, info)
        with path.open("rb") as file:
            file.seek(header.begin)
            data = bytearray(file.read(header.nbytes))
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error
    tensors = {name: _tensor(header, name, data).to(x.dtype) for name, x in zero.tensors.items()}
    if not all(bool(x.isfinite().all()) for x in tensors.values()):
        raise StateCorrupt(str(path), "numbers that are not finite")
    try:
        return _snapshot(header.metadata, State(zero.arch, tensors), info, id_)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise StateCorrupt(str(path), "metadata") from error


def _check(header: Header, zero: State, info: ModelInfo) -> None:
    said = header.metadata
    if info.id and said.get("key.model") != info.id:
        raise StateMismatch(f"model {info.id[:16]}", f"model {said.get('key.model', '')[:16]}")
    shapes = {name: shape for name, (_, shape, _, _) in header.tensors.items()}
    if said.get("arch") != zero.arch or shapes != {name: tuple(x.shape) for name, x in zero.tensors.items()}:
        found = ", ".join(f"{name}{list(shape)}" for name, shape in shapes.items())
        raise StateMismatch(layout(zero), f"{said.get('arch', '')[:16]}: {found[:200]}")


def _tensor(header: Header, name: str, data: bytearray) -> Tensor:
    code, shape, begin, end = header.tensors[name]
    return torch.frombuffer(data[begin:end], dtype=DTYPES[code]).reshape(shape)


def _snapshot(said: dict[str, str], state: State, info: ModelInfo, id_: str) -> Snapshot:
    """Raises ValueError and others: the metadata is not that of a state."""
    pending, length = _whole(json.loads(said["pending"])), int(said["length"])
    if not 1 <= len(pending) <= min(length, MOST_PENDING):
        raise ValueError("pending")
    key = StateKey(info.id, info.tier, info.adapter, id_, said["key.prefix"])
    counts = tuple((int(token), float(count)) for token, count in json.loads(said["counts"]))
    sampler = SamplerState(int(said["seed"]), int(said["position"]), counts)
    return Snapshot(key, length, state, pending, sampler, bytes.fromhex(said["carry"])[:4])


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in values)
