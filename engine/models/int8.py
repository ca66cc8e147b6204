"""The tier int8: which weights are 8-bit numbers, and how they get there. Rounding to the nearest, no data.

The projections, the head and the channel mix's matrices are: nearly all bytes of a decode step. Not the
embedding, of which a token reads one row, nor norms, mixing vectors, decays and low-rank matrices, which
suffer most and are small. Each has a scale for every output, but the channel mix's second matrix one for
every hidden unit, since its rows are read unit by unit (`engine.ops.ffn_value.byte_rows`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.int8_names import SCALE, VALUE, is_quantised
from engine.models.packed import Form, packed_forms, packed_tensors
from engine.models.packed_names import BITS
from engine.models.prepare import dtype_of, prepare_tensor
from engine.models.tiers import INT8, RUN_DTYPES
from engine.ops.ffn_value.byte_rows import EXTRA, joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.models.names import Shapes
    from engine.types import ModelSpec

LARGEST = 127
_SMALLEST_SCALE = 1e-30  # of rows of zeros
_PIECE = 1 << 22  # numbers that are in fp32 at once


def forms(shapes: Shapes, spec: ModelSpec, tier: str) -> dict[str, Form]:
    """Shape and dtype of every tensor that these weights are kept as; a scale beside its matrix."""
    if tier in BITS:
        return packed_forms(shapes, spec, tier)
    found: dict[str, Form] = {}
    for name, shape in shapes.items():
        if tier != INT8 or not is_quantised(name):
            found[name] = shape, dtype_of(name, spec, RUN_DTYPES[tier])
        elif name.endswith(VALUE):
            found[name] = (shape[1], shape[0] + EXTRA), torch.uint8
        else:
            found[name] = shape, torch.int8
            found[name + SCALE] = shape[:1], RUN_DTYPES[tier]
    return found


def tier_tensor(key: str, read: Callable[[str], Tensor], spec: ModelSpec, tier: str) -> Tensor:
    """One tensor of `forms`, from those that `read` gives by official name; see `prepare_tensor`."""
    name = key.removesuffix(SCALE)
    if tier in BITS:
        return packed_tensors(name, read, spec, tier, torch.device("cpu"))[key]
    if tier != INT8 or not is_quantised(name):
        return prepare_tensor(key, read, spec, RUN_DTYPES[tier])
    x = read(name)
    if name.endswith(VALUE):
        return _in_pieces(x.mT, lambda rows: joined(*quantised(rows)))
    return _in_pieces(
        x, (lambda rows: quantised(rows)[1]) if key != name else (lambda rows: quantised(rows)[0])
    )


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """rows [N,K] → values int8 [N,K], scale bf16 [N]: what is nearest to rows / scale, −127 … 127."""
    rows = rows.float()
    largest = torch.linalg.vector_norm(rows, float("inf"), dim=1)
    scale = (largest / LARGEST).clamp_min(_SMALLEST_SCALE).to(torch.bfloat16)
    values = (rows / scale.float()[:, None]).round_().clamp_(-LARGEST, LARGEST)
    return values.to(torch.int8), scale


def _in_pieces(x: Tensor, made: Callable[[Tensor], Tensor]) -> Tensor:
    """Some rows after the others: all of them in fp32 would take four times the room of the result."""
    return torch.cat([made(rows) for rows in x.split(max(1, _PIECE // x.shape[1]))])
