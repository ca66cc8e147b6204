"""Full training: every tensor, from fp32 masters that are cast to the run dtype at each forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.names import unused
from engine.tune.methods.method import Method
from engine.weights.export import export_safetensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]

FILE = "model.safetensors"


def _trained(model: Model, config: TuneConfig, kept: Tensors) -> Tensors:  # noqa: ARG001  a method's form
    left_out = unused(model.spec)
    return {name: x.detach().clone().float() for name, x in model.tensors.items() if name not in left_out}


def _put(model: Model, trained: Tensors, config: TuneConfig) -> None:  # noqa: ARG001
    model.tensors.update(trained)
    model.release()


def _write(trained: Tensors, kept: Tensors, config: TuneConfig, folder: Path) -> str:  # noqa: ARG001
    export_safetensors(folder / FILE, {name: x.detach().cpu() for name, x in trained.items()})
    return FILE


METHOD = Method(_trained, _put, _write)
