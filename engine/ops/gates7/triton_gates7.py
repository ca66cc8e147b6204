"""One launch; a program has some heads of one token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from engine.ops.cards import card_of, launch, options
from engine.ops.gates7.naive import LOG_W_SCALE, SMALLEST_NORM, Gated

if TYPE_CHECKING:
    from torch import Tensor

HEADS = 8  # of a program
SCALE, SMALLEST = tl.constexpr(LOG_W_SCALE), tl.constexpr(SMALLEST_NORM)


@triton.jit
def gates7_kernel(
    k, v, decay_logit, iclr_logit, v_logit, v_first, k_k, k_a, log_w, k_out, v_out, a_out, b_out,
    H: tl.constexpr, N: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    """All [M,H,N], but k_k and k_a [H,N]; v_logit and v_first may be None."""
    heads = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    inside = (heads < H)[:, None]
    channels = heads[:, None] * N + tl.arange(0, N)[None, :]
    at = tl.program_id(0).to(tl.int64) * H * N + channels
    key = tl.load(k + at, mask=inside, other=0.0).to(tl.float32)
    removal = key * tl.load(k_k + channels, mask=inside, other=0.0).to(tl.float32)
    length = tl.maximum(tl.sqrt(tl.sum(removal * removal, axis=1)), SMALLEST)
    kappa = removal / length[:, None]
    iclr = tl.sigmoid(tl.load(iclr_logit + at, mask=inside, other=0.0).to(tl.float32))
    tl.store(a_out + at, -kappa, mask=inside)
    tl.store(b_out + at, kappa * iclr, mask=inside)
    share = tl.load(k_a + channels, mask=inside, other=0.0).to(tl.float32)
    tl.store(k_out + at, key + (key * iclr - key) * share, mask=inside)
    logit = tl.load(decay_logit + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(log_w + at, tl.sigmoid(logit) * SCALE, mask=inside)
    if v_first is not None:
        its = tl.load(v + at, mask=inside, other=0.0).to(tl.float32)
        gate = tl.sigmoid(tl.load(v_logit + at, mask=inside, other=0.0).to(tl.float32))
        first = tl.load(v_first + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(v_out + at, its + (first - its) * gate, mask=inside)


def gates7(
    k: Tensor,
    v: Tensor,
    decay_logit: Tensor,
    iclr_logit: Tensor,
    value: tuple[Tensor, Tensor] | None,
    k_k: Tensor,
    k_a: Tensor,
    n_head: int,
) -> Gated:
    """As `gates7_naive`, rounded once; all contiguous, no gradients."""
    M, C = k.shape
    N = C // n_head
    log_w = torch.empty(M, n_head, N, dtype=torch.float32, device=k.device)
    key, a, b = (torch.empty(M, n_head, N, dtype=k.dtype, device=k.device) for _ in range(3))
    new = v if value is None else torch.empty_like(v)
    v_logit, v_first = value or (None, None)
    grid = M, -(-n_head // HEADS)
    given = k, v, decay_logit, iclr_logit, v_logit, v_first, k_k, k_a
    built = options(card_of(k.device), 2)
    launch(gates7_kernel, grid, *given, log_w, key, new, a, b, n_head, N, HEADS, **built)
    return Gated(log_w, key, new.view(M, n_head, N), a, b)
