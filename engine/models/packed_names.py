"""The packed tiers: their names, which matrices are packed in them, how many bytes that makes; no torch.

The projections and the channel mix take most of a decode step's bytes and are packed. The head takes 8 bits
in every packed tier, since its errors are those of the answer. Not packed: the embedding, of which a token
reads one row, and what suffers most and is small: norms, mixing vectors, decays, the low-rank matrices.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.models.int8_names import VALUE, is_quantised
from engine.models.names import counted_shapes

if TYPE_CHECKING:
    from engine.types import ModelSpec

# tier → bits of its large matrices but the head; "-fp16": on cards that have no bf16
BITS = {"int8-g64": 8, "int4-g32": 4, "int8-g64-fp16": 8, "int4-g32-fp16": 4}
GROUPS = {8: 64, 4: 32}  # bits → numbers that share a scale
# from so many parameters on 4 bits are offered (2.9B): smaller models lose too much of what they can
INT4_FROM = 2_800_000_000

_FP16 = "-fp16"
_SCALE_BYTES = 2


def is_fp16(tier: str) -> bool:
    """Whether a packed tier computes in fp16."""
    return tier.endswith(_FP16)


def in_fp16(tier: str) -> str:
    """The same packed tier for a card that has no bf16."""
    return tier if is_fp16(tier) else tier + _FP16


def asked_name(tier: str) -> str:
    """What a person calls a tier: "int8" for "int8-g64"."""
    return tier.partition("-")[0]


def bits_of(name: str, shape: tuple[int, ...], tier: str) -> int:
    """8, 4, or 0 for a tensor that is not packed in this tier; `shape` as the official name has it."""
    if tier not in BITS or not is_quantised(name):
        return 0
    bits = 8 if name == "head.weight" else BITS[tier]
    width = shape[0] if name.endswith(VALUE) else shape[1]
    return 0 if width % GROUPS[bits] else bits


def packed_bytes(spec: ModelSpec, tier: str) -> tuple[int, int]:
    """How many numbers of a model are packed in this tier, and the bytes that they take with their scales."""
    count = taken = 0
    for name, shape, times in counted_shapes(spec):
        if bits := bits_of(name, shape, tier):
            numbers = times * math.prod(shape)
            count += numbers
            taken += numbers * bits // 8 + numbers // GROUPS[bits] * _SCALE_BYTES
    return count, taken
