"""LoRA: y = W·x + (α/r)·B·A·x, A [r,in] uniform and B [out,r] zero to begin with; peft's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.adapted import LORA_A, LORA_B
from engine.tune.methods.adapters import put_tensors, write_peft
from engine.tune.methods.method import Method, seeded
from engine.tune.sizes import adapted_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]


def _trained(model: Model, config: TuneConfig, kept: Tensors) -> Tensors:  # noqa: ARG001  a method's form
    found: Tensors = {}
    for name, (out, width) in adapted_shapes(model.spec).items():
        rank = min(config.rank, out, width)
        bound = width**-0.5  # Kaiming's with a = √5, as peft and RWKV-PEFT draw it
        a = torch.rand(rank, width, generator=seeded(name, config.seed)) * 2 * bound - bound
        found[name + LORA_A] = a.to(model.device)
        found[name + LORA_B] = torch.zeros(out, rank, device=model.device)
    return found


def _put(model: Model, trained: Tensors, config: TuneConfig) -> None:
    """The scale goes into B, in fp32."""
    scale = {a: config.alpha / trained[a].shape[0] for a in trained if a.endswith(LORA_A)}
    scaled = {
        name: x * scale[name.removesuffix(LORA_B) + LORA_A] if name.endswith(LORA_B) else x
        for name, x in trained.items()
    }
    put_tensors(model, scaled)


def _write(trained: Tensors, kept: Tensors, config: TuneConfig, folder: Path) -> str:  # noqa: ARG001
    tensors = {name.replace(".weight.", ".") + ".weight": x for name, x in trained.items()}
    ranks = {name: x.shape[0] for name, x in trained.items() if name.endswith(LORA_A)}
    other = {name.removesuffix(".weight" + LORA_A): r for name, r in ranks.items() if r != config.rank}
    # a matrix that is smaller than the rank has one of its own, and the scale that goes with it
    table = {"peft_type": "LORA", "r": config.rank, "lora_alpha": config.alpha, "rank_pattern": other}
    return write_peft(folder, tensors, table)


METHOD = Method(_trained, _put, _write)
