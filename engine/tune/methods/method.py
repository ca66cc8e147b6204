"""What a row of `METHODS` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Method:
    """One way of tuning.

    Attributes:
        trained: the tensors to begin with, fp32, on the model's device, by the name under which checkpoints
            keep them; from the model, the settings, and what `kept` gave.
        put: the trained tensors into the model's, before every forward; differentiable.
        write: (trained, kept, settings, folder) → the name of what was written there, for `Engine.adapt` or
            `Engine.register`.
        kept: what is needed beside what is trained and never changes, from the path of the model's file.
        change: what a frozen weight becomes before it is used, with what `kept` gave.
    """

    trained: Callable[[Model, TuneConfig, Tensors], Tensors]
    put: Callable[[Model, Tensors, TuneConfig], None]
    write: Callable[[Tensors, Tensors, TuneConfig, Path], str]
    kept: Callable[[Path, TuneConfig], Tensors] | None = None
    change: Callable[[str, Tensor, Tensors], Tensor] | None = None


def seeded(name: str, seed: int) -> torch.Generator:
    """A generator for the tensor of this name, the same wherever and in whatever order it is asked for."""
    import zlib

    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
