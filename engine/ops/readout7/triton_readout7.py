"""One launch; a program has some heads of one token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options
from engine.ops.readout7.naive import GROUP_NORM_EPS

if TYPE_CHECKING:
    from torch import Tensor

HEADS = 8  # of a program
EPS = tl.constexpr(GROUP_NORM_EPS)


@triton.jit
def readout7_kernel(
    y, r, k, v, gate, r_k, weight, bias, out, H: tl.constexpr, N: tl.constexpr, HEADS: tl.constexpr
):  # fmt: skip
    heads = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    inside = (heads < H)[:, None]
    channels = heads[:, None] * N + tl.arange(0, N)[None, :]
    at = tl.program_id(0).to(tl.int64) * H * N + channels
    read = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    centred = read - (tl.sum(read, axis=1) / N)[:, None]
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / N + EPS)
    normed = centred * scale[:, None] * tl.load(weight + channels, mask=inside, other=0.0).to(tl.float32)
    normed += tl.load(bias + channels, mask=inside, other=0.0).to(tl.float32)
    own = tl.load(r + at, mask=inside, other=0.0).to(tl.float32)
    own *= tl.load(k + at, mask=inside, other=0.0).to(tl.float32)
    own *= tl.load(r_k + channels, mask=inside, other=0.0).to(tl.float32)
    normed += tl.sum(own, axis=1)[:, None] * tl.load(v + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + at, normed * tl.load(gate + at, mask=inside, other=0.0).to(tl.float32), mask=inside)


def readout7(
    y: Tensor, r: Tensor, k: Tensor, v: Tensor, gate: Tensor, r_k: Tensor, norm: tuple[Tensor, Tensor]
) -> Tensor:
    """As `readout7_naive`, rounded once; all contiguous, no gradients."""
    M, H, N = r.shape
    out = torch.empty_like(gate)
    built = options(card_of(y.device), 2)
    grid = M, -(-H // HEADS)
    launch(readout7_kernel, grid, y, r, k, v, gate, r_k, *norm, out, H, N, HEADS, **built)
    return out
