"""The scan over chunks and the reading of states, one chunk after another: the law for `triton_scan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def scan_naive(total: Tensor, q: Tensor | None, update: Tensor, first: Tensor, *, reverse: bool) -> Tensor:
    """See `triton_scan.scan`."""
    n = update.shape[1]
    order = range(n - 1, -1, -1) if reverse else range(n)
    x, states = first.mT, [first.mT]
    for c in order:
        new = total[:, c, :, None] * x + update[:, c]
        if q is not None:
            new = new + (q[:, c].mT if reverse else q[:, c]) @ x
        x = new
        states.append(x)
    return torch.stack(states[::-1] if reverse else states, dim=1)


def read_naive(y0: Tensor, reading: Tensor, states: Tensor) -> Tensor:
    """See `triton_scan.read`, but for the layout: [G,n,C,V]."""
    return y0 + reading @ states
