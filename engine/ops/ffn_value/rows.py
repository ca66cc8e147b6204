"""One token: the sum of the rows of those hidden units that are not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor


def ffn_value_rows(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [.., F] with one token in all, weight [C,F] of strides (1, C) → [.., C]."""
    units = hidden.reshape(-1)
    active = units.nonzero().view(-1)
    bags = torch.zeros(1, dtype=torch.int64)
    summed = F.embedding_bag(active, weight.mT, bags, mode="sum", per_sample_weights=units[active])
    return summed.view(*hidden.shape[:-1], weight.shape[0])
