"""The packed tiers: from the tensors of a file to packed weights (`engine.quant`), on their device.

A matrix goes to the device as it is stored, some rows after the others, and is packed there: the host keeps
no copy, the device one piece in fp32 at a time. The channel mix's second one is packed turned, unit by unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.int8_names import SCALE, VALUE, is_quantised
from engine.models.packed_names import GROUPS, bits_of
from engine.models.prepare import dtype_of, halvings, prepare_tensor
from engine.models.tiers import RUN_DTYPES
from engine.quant import pack4, pack8

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.models.names import Shapes
    from engine.types import ModelSpec

Form = tuple[tuple[int, ...], torch.dtype]
_PACK = {8: pack8, 4: pack4}
_VALUES = {8: torch.int8, 4: torch.uint8}
_PIECE = 1 << 22  # numbers that are in fp32 at once


def packed_forms(shapes: Shapes, spec: ModelSpec, tier: str) -> dict[str, Form]:
    """Shape and dtype of every tensor that these weights are kept as; a scale beside its matrix."""
    found: dict[str, Form] = {}
    for name, shape in shapes.items():
        bits = bits_of(name, shape, tier)
        if not bits:
            found[name] = shape, dtype_of(name, spec, RUN_DTYPES[tier])
            continue
        rows, width = shape[::-1] if name.endswith(VALUE) else shape
        found[name] = (rows, width * bits // 8), _VALUES[bits]
        found[name + SCALE] = (rows, width // GROUPS[bits]), RUN_DTYPES[tier]
    return found


def packed_tensors(
    name: str, read: Callable[[str], Tensor], spec: ModelSpec, tier: str, device: torch.device
) -> dict[str, Tensor]:
    """All tensors of `packed_forms` for one official name, on the device; see `prepare_tensor`."""
    dtype = RUN_DTYPES[tier]
    if not is_quantised(name):
        return {name: prepare_tensor(name, read, spec, dtype).to(device)}
    x = read(name)
    bits = bits_of(name, tuple(x.shape), tier)
    if not bits:
        return {name: prepare_tensor(name, lambda _: x, spec, dtype).to(device)}
    rows = x.to(device).mT if name.endswith(VALUE) else x
    values, scale = _packed(rows, bits, dtype, 2 ** halvings(name, spec, dtype), device)
    return {name: values, name + SCALE: scale}


def _packed(
    rows: Tensor, bits: int, dtype: torch.dtype, divisor: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """rows [R,W] / divisor, on the device."""
    R, W = rows.shape
    values = torch.empty(R, W * bits // 8, dtype=_VALUES[bits], device=device)
    scale = torch.empty(R, W // GROUPS[bits], dtype=dtype, device=device)
    at = max(1, _PIECE // W)
    for piece, into, its in zip(rows.split(at), values.split(at), scale.split(at), strict=True):
        made = _PACK[bits](piece.to(device).float() / divisor, dtype)
        into.copy_(made[0])
        its.copy_(made[1])
    return values, scale
