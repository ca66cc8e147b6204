"""How the chunk kernels are built for a card: fixed numbers, no search at the first start.

Chosen so that no register is spilled on any card class; which numbers are fastest has not been measured
yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from engine.ops.cards import NO_CARD

if TYPE_CHECKING:
    from engine.ops.cards import Card

TF32_FROM = 80


class Settings(NamedTuple):
    """Numbers of a card, not of a model.

    Attributes:
        chunk: 16, 32 or 64 tokens.
        block: key channels at a time.
        precision: of products, see `engine.ops.chunk_states.triton_dot`.
        warps: of 32 threads, for each chunk of each head.
    """

    chunk: int
    block: int
    precision: str
    warps: int


FAST = Settings(chunk=32, block=16, precision="tf32", warps=4)
EXACT = Settings(chunk=16, block=16, precision="tf32x3", warps=4)
WITHOUT_TF32 = Settings(chunk=16, block=16, precision="ieee", warps=4)


def settings_for(card: Card, dtype: torch.dtype) -> Settings:
    """For wkv7: fp32 activations get fp32 products; half precision gets tf32, less than its own rounding."""
    if NO_CARD < card.sm < TF32_FROM:
        return WITHOUT_TF32
    return EXACT if dtype == torch.float32 else FAST


def precision_for(card: Card, dtype: torch.dtype) -> str:
    """The same choice for a recurrence that has no other settings."""
    return settings_for(card, dtype).precision
