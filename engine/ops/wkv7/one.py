"""wkv7, one token of one sequence: few operations, written into memory that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class Wkv7One:
    """Holds the memory of one token's vectors; all fp32.

    Attributes:
        r, decay, k, a, b: [H,K], v: [H,V]; written before a call.

    Args:
        r: where r is.
    """

    def __init__(self, r: Tensor) -> None:
        H, N = r.shape
        self.r, self.decay, self.a = r, torch.zeros(H, N), torch.zeros(H, N)
        # (S·a)·bᵀ + v·kᵀ as one rank-two product: [S·a, v] as columns, [b, k] as rows
        self._columns, self._rows = torch.zeros(2, H, 2, N)
        self._removed, self._y = self._columns[:, :1], torch.zeros(H, 1, N)
        self.v, self.b, self.k = self._columns[:, 1], self._rows[:, 0], self._rows[:, 1]
        self._r, self._decay, self._a = (x[:, None] for x in (self.r, self.decay, self.a))
        self._turned = self._columns.mT

    def __call__(self, old: Tensor, new: Tensor) -> Tensor:
        """old and new state [H,V,K] → y [H,V], which the next call writes over."""
        torch.bmm(self._a, old.mT, out=self._removed)
        torch.mul(old, self._decay, out=new)
        new.baddbmm_(self._turned, self._rows)
        return torch.bmm(self._r, new.mT, out=self._y)[:, 0]
