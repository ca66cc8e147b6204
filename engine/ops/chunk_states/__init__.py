"""What the chunk forms of the recurrences share: a chunk of tokens is an affine map of the state.

With X = Sᵀ [K,V] at a chunk's start, P [K] the chunk's decay and matrices that need no state:

    X ← P⊙X + Q·X + N        y = y₀ + R·X

so every chunk is worked on at once but for the scan, and the scan does one small product for each chunk.
Its gradient is a scan of the same form from the other end, with Qᵀ for Q.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops import kernels

if TYPE_CHECKING:
    from torch import Tensor

# What Triton's kernels are made for; every official model has heads of 64.
TRITON_HEADS = (16, 32, 64)


def fits_triton(state: Tensor) -> bool:
    """Whether the Triton kernels serve a state [B,H,V,K]."""
    on_card = kernels.usable(state) and state.dtype == torch.float32
    return on_card and state.shape[2] in TRITON_HEADS and state.shape[3] in TRITON_HEADS
