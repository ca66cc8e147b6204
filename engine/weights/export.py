"""Writes a model's tensors as safetensors with official names and shapes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from engine.models.names import stored_shape
from engine.weights.recognise import recognise

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def export_safetensors(
    path: Path, tensors: dict[str, Tensor], *, dtype: torch.dtype = torch.bfloat16
) -> None:
    """`tensors` by official name (vectors as [C], ln0 not folded) → `path`, replaced as a whole."""
    spec = recognise(str(path), {name: tuple(x.shape) for name, x in tensors.items()})
    official = {
        name: x.detach().to("cpu", dtype).reshape(stored_shape(spec, name)).contiguous()
        for name, x in tensors.items()
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(official, temporary, metadata={"format": "pt"})
        with temporary.open("r+b") as handle:  # Windows syncs only what may be written
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
