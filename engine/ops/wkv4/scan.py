"""wkv4 for all tokens at once, by doubling: ⌈log2(T+1)⌉ rounds of elementwise operations.

A weighted sum over some tokens is three numbers for each channel (numerator, denominator and the exponent
that both were divided by), and two neighbouring ones join into one: the earlier decays by the later's length,
then both are brought to the larger exponent. After the round with distance s, entry t covers the 2s tokens up
to t. No sums over many tokens are subtracted, so nothing is lost however strong the decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.wkv4.naive import Average


def _doubled(sums: Average, log_w: Tensor, distance: int) -> Average:
    """Every entry of [B,T+1,C] joined with the one `distance` before it."""
    numerator, denominator, exponent = sums
    earlier, later = exponent[:, :-distance] + distance * log_w, exponent[:, distance:]
    largest = torch.maximum(earlier, later)
    old, new = torch.exp(earlier - largest), torch.exp(later - largest)

    def joined(x: Tensor) -> Tensor:
        return torch.cat((x[:, :distance], old * x[:, :-distance] + new * x[:, distance:]), dim=1)

    largest = torch.cat((exponent[:, :distance], largest), dim=1)
    return joined(numerator), joined(denominator), largest


def _prefixes(log_w: Tensor, k: Tensor, v: Tensor, state: Average) -> Average:
    """The state before the first token and after each, three times [B,T+1,C]."""
    entries = ((state[0], v), (state[1], torch.ones_like(v)), (state[2], k))
    first, second, third = (torch.cat((x.unsqueeze(1), xs), dim=1) for x, xs in entries)
    sums = first, second, third
    distance = 1
    while distance <= k.shape[1]:
        sums = _doubled(sums, log_w, distance)
        distance *= 2
    return sums


def wkv4_scan(
    log_w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Average, lengths: Tensor | None = None
) -> tuple[Tensor, Average]:
    """See `engine.ops.wkv4.wkv4`; differentiable by plain autograd."""
    dtype = state[0].dtype
    log_w, u, k, v = (x.to(dtype) for x in (log_w, u, k, v))
    sums = _prefixes(log_w, k, v, state)
    numerator, denominator, exponent = (x[:, :-1] for x in sums)
    own = u + k
    largest = torch.maximum(exponent, own)
    old, new = torch.exp(exponent - largest), torch.exp(own - largest)
    y = (old * numerator + new * v) / (old * denominator + new)
    if lengths is None:
        first, second, third = (x[:, -1].clone() for x in sums)
    else:
        rows = torch.arange(k.shape[0], device=k.device)
        first, second, third = (x[rows, lengths] for x in sums)
    return y, (first, second, third)
