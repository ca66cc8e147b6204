"""State tuning: the wkv state before the first token, one [H,V,K] for each layer; the weights stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.errors import InvalidRequest
from engine.tune.methods.method import Method
from engine.weights.export_tuned import write_tuned_state
from engine.weights.part_names import TIME_STATE

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.models.state import State
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]

WKV = "wkv_BLHVK"
FILE = "state.safetensors"


def name_of(layer: int) -> str:
    """As official files call it."""
    return TIME_STATE.replace("LAYER", str(layer))


def _trained(model: Model, config: TuneConfig, kept: Tensors) -> Tensors:  # noqa: ARG001  a method's form
    """Zeros, or what is merged into the model's file.  Raises InvalidRequest: RWKV-4 has no such state."""
    spec = model.spec
    if spec.arch == "rwkv4":
        raise InvalidRequest("RWKV-4 has no state that can be tuned")
    H, N = spec.n_head, spec.head_size
    return {name_of(i): torch.zeros(H, N, N, device=model.device) for i in range(spec.n_layer)} | kept


def _put(model: Model, trained: Tensors, config: TuneConfig) -> None:
    """Nothing: the state comes with the tokens (`begun`)."""


def begun(zero: State, trained: Tensors) -> State:
    """The state before the first token of every row, from the tuned one if there is any."""
    from engine.models.state import State

    if name_of(0) not in trained:
        return zero
    B, L = zero.tensors[WKV].shape[:2]
    wkv = torch.stack([trained[name_of(i)] for i in range(L)])
    return State(zero.arch, zero.tensors | {WKV: wkv.expand(B, *wkv.shape)})


def _write(trained: Tensors, kept: Tensors, config: TuneConfig, folder: Path) -> str:  # noqa: ARG001
    """In fp32, as `TUNED_FORMATS` has it for safetensors; RWKV-PEFT's `.pth`, a pickle, is made on export."""
    layers = {int(name.split(".")[1]): x.detach().cpu() for name, x in trained.items()}
    write_tuned_state(folder / FILE, layers, "fla", overwrite=True)
    return FILE


METHOD = Method(_trained, _put, _write)
