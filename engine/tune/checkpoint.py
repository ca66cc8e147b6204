"""Checkpoints: what is trained, the optimiser's moments and how far a run is, in one safetensors file.

No pickle: tensors, and a text in the header. A file takes the other's place at once, so a kill leaves the old
one or the new one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import StateCorrupt, WeightsCorrupt
from engine.weights.export_safetensors import write_tensors
from engine.weights.place import in_place_of
from engine.weights.safetensors_file import read_safetensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    Tensors = dict[str, Tensor]

VALUE, FIRST, SECOND = "value.", "first.", "second."  # of a trained tensor; its moments
_KEY = "tune"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run is.

    Attributes:
        step: steps taken.  learnt: of those, how many changed something (the optimiser's count).
        best: the lowest validation loss, None for none.  stale: evaluations since.
        at_once: rows that are fed together, 0 where nothing has cut them down.
        method, steps, seed: of the settings that it belongs to.
    """

    step: int = 0
    learnt: int = 0
    best: float | None = None
    stale: int = 0
    at_once: int = 0
    method: str = ""
    seed: int = 0


def save(
    path: Path, trained: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None, at: Position
) -> int:
    """Whole or not at all; returns its bytes.  Without an optimiser its moments are left out.

    Raises DiskFailed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {VALUE + name: x.detach() for name, x in trained.items()}
    if optimizer is not None:
        for name, x in trained.items():
            if found := optimizer.state.get(x):
                tensors |= {FIRST + name: found["exp_avg"], SECOND + name: found["exp_avg_sq"]}
    values = {name: x.float().cpu().contiguous() for name, x in tensors.items()}
    entries = [(name, tuple(x.shape), x.dtype) for name, x in values.items()]
    with in_place_of(path) as temporary:
        for _ in write_tensors(temporary, entries, values.__getitem__, {_KEY: json.dumps(asdict(at))}):
            pass
    return path.stat().st_size


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that was read."""

    at: Position
    values: Tensors
    first: Tensors
    second: Tensors


def load(path: Path) -> Checkpoint | None:
    """None for no file.  Raises StateCorrupt: it is none of ours, or damaged."""
    if not path.is_file():
        return None
    try:
        file = read_safetensors(path)
        at = _position(json.loads(file.metadata[_KEY]))
    except (WeightsCorrupt, KeyError, ValueError, TypeError, RecursionError) as error:
        raise StateCorrupt(str(path), "no checkpoint, or a damaged one") from error
    parts: dict[str, Tensors] = {VALUE: {}, FIRST: {}, SECOND: {}}
    for name in file.places:
        part = next((each for each in parts if name.startswith(each)), None)
        if part is None:
            raise StateCorrupt(str(path), f"a tensor {name[:60]}")
        parts[part][name.removeprefix(part)] = file.tensor(name).clone()
    return Checkpoint(at, parts[VALUE], parts[FIRST], parts[SECOND])


def _position(table: Any) -> Position:
    """Raises TypeError, ValueError."""
    found = Position(**table)
    counts = (found.step, found.learnt, found.stale, found.at_once, found.seed)
    if not all(type(each) is int and each >= 0 for each in counts) or not isinstance(found.method, str):
        raise ValueError("counts")
    if found.best is not None and not isinstance(found.best, float):
        raise ValueError("best")
    return found


def restore(
    found: Checkpoint, trained: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Puts it into what is trained and into the optimiser.  Raises StateCorrupt: it is of another run."""
    shapes = {name: tuple(x.shape) for name, x in trained.items()}
    moments = (found.first, found.second) if found.at.learnt else ()
    for part in (found.values, *moments):
        if {name: tuple(x.shape) for name, x in part.items()} != shapes:
            raise StateCorrupt(str(path), "a checkpoint of another run")
    with torch.no_grad():
        for name, x in trained.items():
            x.copy_(found.values[name])
    for name, x in trained.items() if moments else ():
        optimizer.state[x] = {
            "step": torch.tensor(float(found.at.learnt)).to(x.device),
            "exp_avg": found.first[name].to(x.device),
            "exp_avg_sq": found.second[name].to(x.device),
        }
