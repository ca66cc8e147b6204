"""The training loss from the last hidden vectors, without the logits of all tokens ever being there.

A block of rows at a time: logits, log-sum-exp, and where a gradient will be wanted the gradient of the hidden
vectors at once, so that nothing of [M,O] outlives its block. Rows that count nothing are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.tune.sizes import HEAD_ROWS

if TYPE_CHECKING:
    from torch import Tensor

L2_WRAP = 1e-4


class _HeadLoss(torch.autograd.Function):
    """hidden [M,C], head [O,C], targets [M], weights fp32 [M] → the weighted sum, fp32."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, pull: float
    ) -> Tensor:
        wanted = ctx.needs_input_grad[:2]
        ctx.gradients = found = _Gradients(hidden, head, *wanted) if any(wanted) else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, hidden.shape[0], HEAD_ROWS):
            rows = slice(start, start + HEAD_ROWS)
            logits = F.linear(hidden[rows], head).float()
            lse = logits.logsumexp(-1)
            total += ((lse - _at(logits, targets[rows])) * weights[rows]).sum()
            if found is not None:
                dlogits = _dlogits(logits, lse, targets[rows], weights[rows], pull)
                found.add(rows, dlogits, hidden, head)
        return total

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  one gradient each, where the base takes any
        found = ctx.gradients
        if found is None:
            return None, None, None, None, None
        dhidden, dhead = (x if x is None else x * dloss.to(x.dtype) for x in (found.hidden, found.head))
        return dhidden, dhead if dhead is None else dhead.to(found.dtype), None, None, None


def _at(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(-1, targets[:, None])[:, 0]


def _dlogits(logits: Tensor, lse: Tensor, targets: Tensor, weights: Tensor, pull: float) -> Tensor:
    """In the logits' place: (softmax − one-hot)·weight, and the pull on each row's largest logit."""
    largest, where = logits.max(-1, keepdim=True)
    dlogits = logits.sub_(lse[:, None]).exp_()
    dlogits.scatter_add_(-1, targets[:, None], torch.full_like(largest, -1))
    dlogits.scatter_add_(-1, where, largest * pull)
    return dlogits.mul_(weights[:, None])


class _Gradients:
    """Of the hidden vectors and of a head that is trained."""

    def __init__(self, hidden: Tensor, head: Tensor, of_hidden: bool, of_head: bool) -> None:
        self.dtype = head.dtype
        self.hidden = torch.empty_like(hidden) if of_hidden else None
        self.head = torch.zeros_like(head, dtype=torch.float32) if of_head else None

    def add(self, rows: slice, dlogits: Tensor, hidden: Tensor, head: Tensor) -> None:
        dlogits = dlogits.to(head.dtype)
        if self.hidden is not None:
            torch.mm(dlogits, head, out=self.hidden[rows])
        if self.head is not None:
            self.head += dlogits.mT @ hidden[rows]


def head_loss(
    hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, *, l2_wrap: bool = False
) -> Tensor:
    """The weighted sum of cross-entropies, nats, fp32.  hidden [..,C], head [O,C], targets, weights [..].

    Args:
        l2_wrap: adds the official pull, 1e-4 · the largest logit (times the weight), to the gradient there.
    """
    counted = weights.flatten() > 0
    rows, pull = hidden.flatten(0, -2)[counted], L2_WRAP if l2_wrap else 0.0
    return _HeadLoss.apply(rows, head, targets.flatten()[counted], weights.flatten()[counted], pull)  # pyright: ignore[reportReturnType]  apply is untyped


def head_loss_naive(
    hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, *, l2_wrap: bool = False
) -> Tensor:
    """The same from all logits at once, by plain autograd."""
    logits = F.linear(hidden, head).float()
    each = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    loss = (each * weights.flatten()).sum()
    if not l2_wrap:
        return loss
    # a term of value 0 whose gradient at the largest logit is the pull
    largest = logits.max(-1).values
    pull = largest.detach() * L2_WRAP * weights
    return loss + (pull * (largest - largest.detach())).sum()
