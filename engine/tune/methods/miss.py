"""MiSS: y = W·x + Eᵀ·z, z the sum of x's blocks of r numbers, E [r,out] zero to begin with; peft's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.adapted import MISS
from engine.tune.methods.adapters import put_tensors, write_peft
from engine.tune.methods.method import Method
from engine.tune.sizes import adapted_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]


def _trained(model: Model, config: TuneConfig, kept: Tensors) -> Tensors:  # noqa: ARG001  a method's form
    return {
        name + MISS: torch.zeros(min(config.rank, width), out, device=model.device)
        for name, (out, width) in adapted_shapes(model.spec).items()
    }


def _put(model: Model, trained: Tensors, config: TuneConfig) -> None:  # noqa: ARG001
    put_tensors(model, trained)


def _write(trained: Tensors, kept: Tensors, config: TuneConfig, folder: Path) -> str:  # noqa: ARG001
    tensors = {name.replace(".weight.", "."): x for name, x in trained.items()}
    return write_peft(folder, tensors, {"peft_type": "MISS", "r": config.rank, "init_weights": True})


METHOD = Method(_trained, _put, _write)
