"""One program for each token: it normalises its own row and the one before; nothing is written between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options
from engine.ops.token_mix.naive import LN_EPS

# What a kernel's functions give back, no type checker knows.
# pyright: reportGeneralTypeIssues=false

if TYPE_CHECKING:
    from torch import Tensor

EPS = tl.constexpr(LN_EPS)


@triton.jit
def _normed(x, weight, bias, inside, C: tl.constexpr, dtype: tl.constexpr):
    """The layer norm of one row, in fp32 but rounded as it will be kept."""
    mean = tl.sum(x, axis=0) / C
    centred = tl.where(inside, x - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=0) / C + EPS)
    return (centred * scale * weight + bias).to(dtype).to(tl.float32)


@triton.jit
def token_mix_kernel(
    x, last, weight, bias, shares, lengths, mixed, shift, T, tokens,
    C: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`tokens` is B·T."""
    row = tl.program_id(0).to(tl.int64)
    b, t = row // T, row % T
    at = tl.arange(0, BLOCK)
    inside = at < C
    w = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    z = tl.load(bias + at, mask=inside, other=0.0).to(tl.float32)
    its = tl.load(x + row * C + at, mask=inside, other=0.0).to(tl.float32)
    normed = _normed(its, w, z, inside, C, shift.dtype.element_ty)
    before = tl.load(x + (row - 1) * C + at, mask=inside & (t > 0), other=0.0).to(tl.float32)
    kept = tl.load(last + b * C + at, mask=inside & (t == 0), other=0.0).to(tl.float32)
    before = tl.where(t > 0, _normed(before, w, z, inside, C, shift.dtype.element_ty), kept)
    end = T
    if lengths is not None:
        end = tl.load(lengths + b).to(tl.int32)
    tl.store(shift + b * C + at, normed, mask=inside & (t == end - 1))
    for m in tl.static_range(M):
        share = tl.load(shares + m * C + at, mask=inside, other=0.0).to(tl.float32)
        out = normed + (before - normed) * share
        tl.store(mixed + (m * tokens + row) * C + at, out, mask=inside)


def token_mix(
    x: Tensor, last: Tensor, norm: tuple[Tensor, Tensor], shares: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `token_mix_naive`; T ≥ 1, no gradients."""
    x, last, shares = x.contiguous(), last.contiguous(), shares.contiguous()
    B, T, C = x.shape
    mixed = torch.empty(len(shares), B, T, C, dtype=x.dtype, device=x.device)
    shift = torch.empty(B, C, dtype=x.dtype, device=x.device)
    sizes = T, B * T, C, len(shares), max(32, 1 << (C - 1).bit_length())
    built = options(card_of(x.device), 8 if C > 1024 else 4)
    launch(token_mix_kernel, (B * T,), x, last, *norm, shares, lengths, mixed, shift, *sizes, **built)
    return mixed, shift
