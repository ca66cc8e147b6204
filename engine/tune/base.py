"""The model to begin from: weights frozen in the form that was asked for, or whole for full training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.devices import has_bf16
from engine.errors import Bf16Missing
from engine.models import ARCHITECTURES
from engine.models.int8_names import SCALE, VALUE
from engine.models.names import expected_shapes
from engine.models.prepare import prepared_shapes
from engine.nf4 import pack_nf4
from engine.quant import pack8
from engine.tune.sizes import is_packed
from engine.weights.archive import open_archive
from engine.weights.load import choose_device
from engine.weights.reading import Reading, tensors_of
from engine.weights.recognise import recognise
from engine.weights.tuned import merged_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.bfloat16, "nf4": torch.bfloat16}
_PIECE = 1 << 22  # numbers that are in fp32 at once


def open_base(config: TuneConfig, change: Callable[[str, Tensor], Tensor] | None = None) -> Model:
    """The model on its device, no tensor of it wanting a gradient.

    Args:
        change: what a weight by its official name becomes before it is used.

    Raises:
        Bf16Missing: the card has none, and the base is not fp32.  And what `engine.weights.load.load` raises.
    """
    device = choose_device(config.device)
    if config.base != "fp32" and not has_bf16(str(device)):
        raise Bf16Missing(str(device))
    reading = _reading(config, device)
    if config.method == "full":
        tensors = {name: reading.checked(name).float() for name in expected_shapes(reading.spec)}
    elif config.base in {"fp32", "bf16"} and change is None:
        tensors = _all(reading)
    else:
        tensors = _converted(replace(reading, change=change) if change else reading, config.base)
    model = ARCHITECTURES[reading.spec.arch](reading.spec, tensors, dtype=DTYPES[config.base])
    model.recompute = config.recompute
    return model


def first_state(path: str, model: Model) -> dict[int, Tensor]:
    """Layer → [H,V,K] of a state that is merged into the model's file; {} for none."""
    found = merged_state(Path(path), model.spec)
    return {layer: x.to(model.device) for layer, x in found.items()}


def _reading(config: TuneConfig, device: torch.device) -> Reading:
    archive = open_archive(Path(config.model))
    spec = recognise(config.model, archive.shapes)
    return Reading(archive, spec, "fp32" if config.base == "fp32" else "bf16", device, lambda: False)


def _all(reading: Reading) -> Tensors:
    """In place in the mapped file where they are right there."""
    loading = tensors_of(reading, None)
    while True:
        try:
            next(loading)
        except StopIteration as done:
            return done.value


def _converted(reading: Reading, base: str) -> Tensors:
    """Tensor by tensor, in memory of their own."""
    tensors: Tensors = {}
    for name in prepared_shapes(reading.spec):
        if is_packed(name, reading.shapes[name], base):
            tensors |= _packed(name, reading, base)
        else:
            tensors |= reading.made(name)
    return tensors


def _packed(name: str, reading: Reading, base: str) -> Tensors:
    """On the device, some rows at a time; the channel mix's second matrix turned, as `ffn_value` takes it."""
    x = reading.checked(name)
    rows = x.mT if name.endswith(VALUE) else x
    at = max(1, _PIECE // rows.shape[1])
    made = [_pack(piece.to(reading.device).float(), base) for piece in rows.split(at)]
    return {name: torch.cat([values for values, _ in made]), name + SCALE: torch.cat([s for _, s in made])}


def _pack(rows: Tensor, base: str) -> tuple[Tensor, Tensor]:
    return pack_nf4(rows) if base == "nf4" else pack8(rows, torch.bfloat16)
