"""The CPU's tiers of few bits, int8 and int4-rows: how weights get there. Rounding to the nearest, no data.

The projections, the head and the channel mix's matrices do: nearly all bytes of a decode step. Not the
embedding, of which a token reads one row, nor norms, mixing vectors, decays and low-rank matrices, which
suffer most and are small. One of 8 bits has a scale for every output, one of 4 bits for every 32 inputs of an
output (`engine.quant`), but the channel mix's second matrix one for
every hidden unit, since its rows are read unit by unit (`engine.ops.ffn_value.byte_rows`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from engine.models.int8_names import GROUP4, SCALE, VALUE, bits_of_rows, is_quantised
from engine.models.packed import Form, packed_forms, packed_tensors
from engine.models.packed_names import BITS
from engine.models.prepare import dtype_of, prepare_tensor
from engine.models.tiers import RUN_DTYPES
from engine.ops.ffn_value.byte_rows import EXTRA, joined
from engine.quant import pack4

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
    dtype = RUN_DTYPES[tier]
    found: dict[str, Form] = {}
    for name, shape in shapes.items():
        bits = bits_of_rows(name, shape, tier)
        if not bits:
            found[name] = shape, dtype_of(name, spec, dtype)
        elif name.endswith(VALUE):
            found[name] = (shape[1], shape[0] + EXTRA), torch.uint8
        elif bits == 8:
            found |= {name: (shape, torch.int8), name + SCALE: (shape[:1], dtype)}
        else:
            N, K = shape
            found |= {name: ((N, K // 2), torch.uint8), name + SCALE: ((N, K // GROUP4), dtype)}
    return found


def tier_tensors(name: str, read: Callable[[str], Tensor], spec: ModelSpec, tier: str) -> dict[str, Tensor]:
    """All tensors of `forms` for an official one, from those that `read` gives; see `prepare_tensor`."""
    if tier in BITS:
        return packed_tensors(name, read, spec, tier, torch.device("cpu"))
    bits = bits_of_rows(name, tuple(read(name).shape), tier) if is_quantised(name) else 0
    if not bits:
        return {name: prepare_tensor(name, read, spec, RUN_DTYPES[tier])}
    x = read(name)
    if name.endswith(VALUE):
        return {name: torch.cat([joined(*quantised(rows)) for rows in _pieces(x.mT)])}
    made = quantised if bits == 8 else partial(pack4, dtype=RUN_DTYPES[tier])
    values, scales = zip(*(made(rows) for rows in _pieces(x)), strict=True)
    return {name: torch.cat(values), name + SCALE: torch.cat(scales)}


def tier_tensor(key: str, read: Callable[[str], Tensor], spec: ModelSpec, tier: str) -> Tensor:
    """One tensor of `forms`."""
    return tier_tensors(key.removesuffix(SCALE), read, spec, tier)[key]


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """rows [N,K] → values int8 [N,K], scale bf16 [N]: what is nearest to rows / scale, −127 … 127."""
    rows = rows.float()
    largest = torch.linalg.vector_norm(rows, float("inf"), dim=1)
    scale = (largest / LARGEST).clamp_min(_SMALLEST_SCALE).to(torch.bfloat16)
    values = (rows / scale.float()[:, None]).round_().clamp_(-LARGEST, LARGEST)
    return values.to(torch.int8), scale


def _pieces(x: Tensor) -> tuple[Tensor, ...]:
    """Some rows after the others: all of them in fp32 would take four times the room of the result."""
    return x.split(max(1, _PIECE // x.shape[1]))
