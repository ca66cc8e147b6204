"""Packed weights: the two forms in which a CUDA device keeps large matrices in few bits.

A packed matrix is two tensors, `X` and `X.scale`, both contiguous. Its *rows* are what lies side by side in
memory, W numbers each, cut into groups of G; a group has one scale. R rows:

form   G    X                    X.scale         number i of row r
int8   64   int8 [R, W]          dtype [R, W/64]  X[r,i] · scale[r, i//64], X from −127 to 127
int4   32   uint8 [R, W/2]       dtype [R, W/32]  (nibble − 8) · scale[r, i//32], nibble from 0 to 15

Nibbles: a group's 32 numbers are 16 bytes. Byte 16·g + j of a row holds number 32·g + j in its low half and
number 32·g + 16 + j in its high half (j < 16): one mask and one shift give two runs of 16 that lie side by
side in the activations, too. A scale of int4 may be negative.

`dtype` is the run dtype, bf16 or fp16. A matrix [N,K] as files have it: R = N outputs, W = K inputs, groups
along the sum. The channel mix's second one, officially [C,F], is packed turned: R = F hidden units, W = C
outputs, so that a unit that is zero is skipped whole (`engine.ops.ffn_value`), and a scale belongs to 64 (32)
outputs of one unit. W is whole groups always; a matrix of another width is not packed. Which matrices are
packed in which tier: `engine.models.packed`.

Rounding is to the nearest and needs no data. int8's scale is the group's largest number / 127, rounded up, so
that nothing is cut off: an error is half a step at most. For int4 the scale with the least squared error of a
few is taken: 8 steps for the largest number, which may get −8 by a negative scale, or a few more or fewer.

This module knows tensors only: no model, no operation.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP8, GROUP4 = 64, 32
HALF4 = GROUP4 // 2  # numbers of a group that are in low halves
LARGEST = 127
ZERO4 = 8  # the nibble that stands for 0
_OTHER_STEPS4 = (6.5, 7.0, 7.5, 8.5, 9.2)  # from 0 to the largest number; what is beyond −8 and 7 is cut off
_SMALLEST_SCALE = 1e-30  # of groups of zeros


def group_of(values: Tensor) -> int:
    """How many numbers share a scale, by the values' dtype."""
    return GROUP4 if values.dtype == torch.uint8 else GROUP8


def width_of(values: Tensor) -> int:
    """W, the numbers of a row."""
    return values.shape[1] * (2 if values.dtype == torch.uint8 else 1)


def pack8(rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """rows [R,W] → values int8 [R,W], scale [R,W/64]."""
    groups = rows.float().unflatten(1, (-1, GROUP8))
    scale = _rounded_up(torch.linalg.vector_norm(groups, float("inf"), dim=2) / LARGEST, dtype)
    values = (groups / scale.float()[..., None]).round_().clamp_(-LARGEST, LARGEST)
    return values.to(torch.int8).flatten(1), scale


def unpack8(values: Tensor, scale: Tensor) -> Tensor:
    """The inverse: fp32 [R,W]."""
    return (values.float().unflatten(1, (-1, GROUP8)) * scale.float()[..., None]).flatten(1)


def pack4(rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """rows [R,W] → values uint8 [R,W/2], scale [R,W/32]."""
    groups = rows.float().unflatten(1, (-1, GROUP4))
    largest = groups.gather(2, groups.abs().argmax(dim=2, keepdim=True))[..., 0]
    scale = _nonzero(largest / -ZERO4, dtype)
    least = _error4(groups, scale)
    for steps in _OTHER_STEPS4:
        other = _nonzero(largest / -steps, dtype)
        error = _error4(groups, other)
        scale, least = torch.where(error < least, other, scale), torch.minimum(error, least)
    nibbles = (_rounded4(groups, scale) + ZERO4).to(torch.uint8)
    low, high = nibbles.split(HALF4, dim=2)
    return (low | (high << 4)).flatten(1), scale


def unpack4(values: Tensor, scale: Tensor) -> Tensor:
    """The inverse: fp32 [R,W]."""
    halves = values.unflatten(1, (-1, HALF4))
    numbers = torch.cat((halves & 0xF, halves >> 4), dim=2).float() - ZERO4
    return (numbers * scale.float()[..., None]).flatten(1)


def unpack(values: Tensor, scale: Tensor) -> Tensor:
    """fp32 [R,W] of either form, told by the values' dtype."""
    return (unpack4 if values.dtype == torch.uint8 else unpack8)(values, scale)


def _rounded_up(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The next or next but one number of `dtype` that is not smaller."""
    info = torch.finfo(dtype)
    above = scale * (1 + info.eps / 2) + info.smallest_normal * info.eps / 2
    return above.clamp_min(max(_SMALLEST_SCALE, info.smallest_normal * info.eps)).to(dtype)


def _nonzero(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest number of `dtype`, but for zero the smallest."""
    info, rounded = torch.finfo(dtype), scale.to(dtype)
    smallest = max(_SMALLEST_SCALE, info.smallest_normal * info.eps)
    return torch.where(rounded == 0, torch.full_like(rounded, smallest), rounded)


def _rounded4(groups: Tensor, scale: Tensor) -> Tensor:
    return (groups / scale.float()[..., None]).round_().clamp_(-ZERO4, ZERO4 - 1)


def _error4(groups: Tensor, scale: Tensor) -> Tensor:
    """Squared error of each group."""
    return (_rounded4(groups, scale) * scale.float()[..., None] - groups).square_().sum(dim=2)
