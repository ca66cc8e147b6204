"""One program for each part of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from engine.ops.cards import Card, launch, options

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 1024


@triton.jit
def embed_kernel(tokens, emb, x, C: tl.constexpr, O: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr):  # noqa: E741  the vocabulary's letter
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    row = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    token = tl.minimum(tl.maximum(tl.load(tokens + row), 0), O - 1)  # never outside the table
    found = tl.load(emb + token * C + at, mask=at < C)
    tl.store(x + row * C + at, found.to(tl.float32), mask=at < C)


def embed(tokens: Tensor, emb: Tensor, x: Tensor, card: Card) -> None:
    """As `embed_naive`. It begins when all before it is done, whatever that is: no kernel of the chain."""
    C = emb.shape[1]
    width = min(WIDTH, 1 << (C - 1).bit_length())
    grid = (len(tokens), -(-C // width))
    numbers = C, emb.shape[0], width, card.dependent_launch
    launch(embed_kernel, grid, tokens, emb, x, *numbers, **options(card, 4))
