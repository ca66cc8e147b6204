"""NF4: four bits for numbers that are normally distributed, for frozen weights in training.

A row of W numbers is cut into groups of 64. A group has a scale, its largest magnitude; a number is the
nearest of sixteen levels times the scale. The levels are quantiles of the normal distribution, scaled to
−1 … 1, with zero among them (Dettmers et al., QLoRA, arXiv 2305.14314, appendix E).

values uint8 [R, W/2]: byte j of a row holds number 2j in its high half and number 2j + 1 in its low half.
scale  bf16 [R, W/64].

This module knows tensors only: no model, no operation.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

GROUP = 64
LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023,
    1.0,
)  # fmt: skip
_SMALLEST_SCALE = 1e-30  # of groups of zeros
_BETWEEN = tuple((a + b) / 2 for a, b in pairwise(LEVELS))


@cache
def _pairs(device: torch.device, dtype: torch.dtype) -> Tensor:
    """[256, 2]: the two levels of every byte."""
    levels = torch.tensor(LEVELS, dtype=dtype, device=device)
    byte = torch.arange(256, device=device)
    return torch.stack((levels[byte >> 4], levels[byte & 15]), dim=1)


def pack_nf4(rows: Tensor) -> tuple[Tensor, Tensor]:
    """rows [R,W], W whole groups → values, scale."""
    groups = rows.float().unflatten(1, (-1, GROUP))
    scale = torch.linalg.vector_norm(groups, float("inf"), dim=2).clamp_min(_SMALLEST_SCALE).bfloat16()
    between = torch.tensor(_BETWEEN, device=rows.device)
    shares = (groups / scale.float()[..., None]).flatten(1).contiguous()
    level = torch.bucketize(shares, between).to(torch.uint8)
    return (level[:, 0::2] << 4) | level[:, 1::2], scale


def unpack_nf4(values: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse: [R,W] in `dtype`, each number rounded once."""
    R = values.shape[0]
    levels = _pairs(values.device, torch.float32)[values.int().flatten()]
    groups = levels.view(R, -1, GROUP).mul_(scale.float()[..., None])
    return groups.view(R, -1).to(dtype)


def unpack_nf4_naive(values: Tensor, scale: Tensor) -> Tensor:
    """The same number by number, fp32: the twin."""
    rows = []
    for row, scales in zip(values.tolist(), scale.float().tolist(), strict=True):
        levels = [LEVELS[half] for byte in row for half in (byte >> 4, byte & 15)]
        rows.append([level * scales[i // GROUP] for i, level in enumerate(levels)])
    return torch.tensor(rows, dtype=torch.float32)


def is_nf4(values: Tensor, scale: Tensor) -> bool:
    """Whether packed values are NF4, not the 4 bits of `engine.quant`: told from the groups' size."""
    return values.dtype == torch.uint8 and values.shape[-1] * 2 == scale.shape[-1] * GROUP
