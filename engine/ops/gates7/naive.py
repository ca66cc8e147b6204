"""The operations of PyTorch one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor

LOG_W_SCALE = -0.606531  # −exp(−1/2), with the reference's digits
SMALLEST_NORM = 1e-12


class Gated(NamedTuple):
    """[M,H,N] each; log_w in fp32, the others in the run dtype."""

    log_w: Tensor
    k: Tensor
    v: Tensor
    a: Tensor
    b: Tensor


def gates7_naive(
    k: Tensor,
    v: Tensor,
    decay_logit: Tensor,
    iclr_logit: Tensor,
    value: tuple[Tensor, Tensor] | None,
    k_k: Tensor,
    k_a: Tensor,
    n_head: int,
) -> Gated:
    """k, v, both logits: [M,C]; k_k, k_a: [C].

    Args:
        value: (v_logit, v_first), [M,C] each; None in the first layer, which keeps its own value.
    """
    heads = (len(k), n_head, -1)
    iclr = torch.sigmoid(iclr_logit)
    # in fp32, since in fp16 the smallest length is zero
    kappa = F.normalize((k * k_k).view(heads).float(), dim=-1, eps=SMALLEST_NORM).to(k.dtype)
    if value is not None:
        v = torch.lerp(v, value[1], torch.sigmoid(value[0]))
    log_w = LOG_W_SCALE * torch.sigmoid(decay_logit.float())
    k = torch.lerp(k, k * iclr, k_a)
    return Gated(log_w.view(heads), k.view(heads), v.view(heads), -kappa, kappa * iclr.view(heads))
