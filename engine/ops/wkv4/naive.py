"""wkv4, token by token: the reference that the fast form is compared with, and the decode step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

Average = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def wkv4_step(log_w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Average) -> tuple[Tensor, Average]:
    """One token.  log_w, u: [C], k, v: [B,C], state: three times [B,C], all of one dtype.

    Returns y [B,C] and the new state; the old one is not changed.
    """
    numerator, denominator, exponent = state
    own = u + k
    largest = torch.maximum(exponent, own)
    old, new = torch.exp(exponent - largest), torch.exp(own - largest)
    y = torch.addcmul(new * v, old, numerator) / torch.addcmul(new, old, denominator)
    decayed = exponent + log_w
    largest = torch.maximum(decayed, k)
    old, new = torch.exp(decayed - largest), torch.exp(k - largest)
    return y, (torch.addcmul(new * v, old, numerator), torch.addcmul(new, old, denominator), largest)


def _kept(fed: Tensor | None, new: Average, old: Average) -> Average:
    """The new state in the rows that were fed, [B,1]; in all without."""
    if fed is None:
        return new
    first, second, third = (torch.where(fed, x, y) for x, y in zip(new, old, strict=True))
    return first, second, third


def wkv4_naive(
    log_w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Average, lengths: Tensor | None = None
) -> tuple[Tensor, Average]:
    """See `engine.ops.wkv4.wkv4`; differentiable by plain autograd."""
    dtype = state[0].dtype
    log_w, u, k, v = (x.to(dtype) for x in (log_w, u, k, v))
    ys = []
    for t, (k_t, v_t) in enumerate(zip(k.unbind(1), v.unbind(1), strict=True)):
        y, new = wkv4_step(log_w, u, k_t, v_t, state)
        state = _kept(None if lengths is None else (t < lengths)[:, None], new, state)
        ys.append(y)
    if not ys:
        return torch.zeros_like(v), (state[0].clone(), state[1].clone(), state[2].clone())
    return torch.stack(ys, dim=1), state
