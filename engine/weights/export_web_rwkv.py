"""Writes web-rwkv's and Ai00's `.st` files: what their conversion script makes (see `web_rwkv`), in fp16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.weights.export_safetensors import write_tensors
from engine.weights.outgoing import cast
from engine.weights.web_rwkv import is_turned_for, name_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.weights.outgoing import Outgoing

ARCHS = ("rwkv4", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7")  # there is no place for an RWKV-5.0
_PER_HEAD = ("att.time_decay", "att.time_faaaa")


def _spread(model: Outgoing, name: str) -> bool:
    """RWKV-5.1's numbers per head become [H,N]."""
    return model.spec.arch == "rwkv5.1" and name.endswith(_PER_HEAD)


def _shape(model: Outgoing, name: str) -> tuple[int, ...]:
    shape = model.shapes[name]
    if _spread(model, name):
        return (*shape, model.spec.head_size)
    if not is_turned_for(name_for(name)):
        return shape
    *before, rows, columns = shape
    return (*before, columns, rows)


def _value(model: Outgoing, name: str) -> Tensor:
    x = model.get(name).reshape(model.shapes[name])
    if _spread(model, name):
        x = x.unsqueeze(1).expand(_shape(model, name))
    elif is_turned_for(name_for(name)):
        x = x.transpose(-1, -2)
    return cast(x, torch.float16, model.path, name)


def write_web_rwkv(path: Path, model: Outgoing) -> Iterator[int]:
    """Raises WeightsCorrupt where fp16 has no such numbers."""
    official = {name_for(name): name for name in model.shapes}
    entries = [(theirs, _shape(model, ours), torch.float16) for theirs, ours in official.items()]
    return write_tensors(path, entries, lambda theirs: _value(model, official[theirs]))
