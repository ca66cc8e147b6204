"""What adapters share: how they are put into a model, and written for peft and for `Engine.adapt`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.durable import into_place
from engine.weights.export_safetensors import write_tensors
from engine.weights.place import in_place_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model

    Tensors = dict[str, Tensor]

TARGETS = ("receptance", "key", "value", "output")


def put_tensors(model: Model, tensors: Tensors) -> None:
    """Beside the weights that they change; the model arranges its weights anew."""
    model.tensors.update(tensors)
    model.release()


def write_peft(folder: Path, tensors: Tensors, config: dict[str, Any]) -> str:
    """Hugging Face peft's folder; returns ".", the folder itself.

    Args:
        tensors: by module and ending ("blocks.0.att.key.lora_A.weight").
    """
    named = {f"base_model.model.{name}": x for name, x in tensors.items()}
    write_file(folder / "adapter_model.safetensors", named)
    text = json.dumps({"target_modules": list(TARGETS), "inference_mode": True, **config}, indent=2)
    temporary = folder / ".adapter_config.json.tmp"
    temporary.write_text(text + "\n", encoding="utf-8")
    into_place(temporary, folder / "adapter_config.json")
    return "."


def write_file(path: Path, tensors: Tensors) -> None:
    """A safetensors file, fp32, whole or not at all."""
    values = {name: x.detach().float().cpu().contiguous() for name, x in tensors.items()}
    entries = [(name, tuple(x.shape), x.dtype) for name, x in values.items()]
    with in_place_of(path) as temporary:
        for _ in write_tensors(temporary, entries, values.__getitem__):
            pass
