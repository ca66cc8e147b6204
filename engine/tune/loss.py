"""The training loss: weighted cross-entropy, and the official pull on the largest logit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

L2_WRAP = 1e-4


class _L2Wrap(torch.autograd.Function):
    """Passes the loss on; adds max_logit · 1e-4 / positions to the gradient of each largest logit."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, logits: Tensor) -> Tensor:
        ctx.save_for_backward(*logits.max(-1, keepdim=True))
        ctx.shape = logits.shape
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]  one gradient, where the base takes any
        largest, where = ctx.saved_tensors
        dlogits = largest.new_zeros(ctx.shape)
        # times dloss: scaled losses and accumulated gradients need it, though the reference forgets it
        return dloss, dlogits.scatter_(-1, where, largest * (dloss * L2_WRAP / largest.numel()))


def weighted_loss(logits: Tensor, targets: Tensor, weights: Tensor, *, l2_wrap: bool = False) -> Tensor:
    """Mean nats per token, weighted.  logits [B,T,O] fp32, targets [B,T] int64, weights [B,T] ≥ 0."""
    each = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    loss = (each * weights.flatten()).sum() / weights.sum().clamp_min(1e-9)
    return _L2Wrap.apply(loss, logits) if l2_wrap else loss  # pyright: ignore[reportReturnType]  apply is untyped
