"""The same, operation by operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.gemv.naive import normed_naive
from engine.ops.time_mix_in.arguments import LOW_RANK, MIXED, TimeMixIn

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.arguments import Mix, Norm


def time_mix_in_naive(x: Tensor, norm: Norm, mix: Mix, w: TimeMixIn, rkv: Tensor, hidden: Tensor) -> None:
    """x [B,C] fp32 → rkv [B,3,C], hidden [B,R] fp32, in place; all in fp32.  mix.share [6,C]."""
    x = normed_naive(x, norm)
    mix.normed.copy_(x)
    mixed = torch.lerp(x, mix.shift.float(), mix.share.float()[:, None])  # [6,B,C]
    for i, (letter, matrix) in enumerate(zip("rkv", (w.receptance, w.key, w.value), strict=True)):
        rkv[:, i] = mixed[MIXED.index(letter)] @ matrix.numbers().mT
    parts = zip(LOW_RANK, hidden.split(w.ranks, dim=1), w.low_rank.float().split(w.ranks), strict=True)
    for letter, out, rows in parts:
        y = mixed[MIXED.index(letter)] @ rows.mT
        out.copy_({"w": torch.tanh, "g": torch.sigmoid}.get(letter, torch.clone)(y))
