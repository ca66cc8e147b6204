"""Three operations of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor

LN_EPS = 1e-5


def token_mix_naive(
    x: Tensor, last: Tensor, norm: tuple[Tensor, Tensor], shares: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """x [B,T,C], last [B,C] (the norm of the token before), norm (weight, bias) [C], shares [M,C].

    Returns the mixtures [M,B,T,C], and the norm [B,C] of each row's last token, the one before its length.
    """
    normed = F.layer_norm(x, x.shape[-1:], *norm, LN_EPS)
    before = torch.cat((last.unsqueeze(1), normed[:, :-1]), dim=1)
    mixed = torch.addcmul(normed, before - normed, shares[:, None, None])
    if lengths is None:
        return mixed, normed[:, -1]
    return mixed, normed[torch.arange(x.shape[0], device=x.device), lengths - 1]
