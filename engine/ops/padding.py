"""Rows of different lengths in one batch: padded on the right, with tokens that must change no state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def blank(xs: tuple[Tensor, ...], lengths: Tensor | None) -> tuple[Tensor, ...]:
    """Each x [B,T,H,N] with zeros from its row's length on; as they are without lengths [B]."""
    if lengths is None:
        return xs
    fed = torch.arange(xs[0].shape[1], device=lengths.device) < lengths[:, None]
    return tuple(torch.where(fed[:, :, None, None], x, 0) for x in xs)
