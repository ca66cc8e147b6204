"""One row of activations times one quantised matrix, for models whose decode step has no form of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from engine.ops.linear.digits import rows_for
from engine.ops.linear.ways import CommonRow, one_row
from engine.quant import width_of

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.linear.one_row import OneRow

_ready = WeakTensorKeyDictionary()  # weight → `Alone`, as long as the weight lives


class Alone:
    """A matrix with memory for its one input. Only in inference mode, as that memory is written to."""

    def __init__(self, matrix: OneRow, N: int, K: int, dtype: torch.dtype) -> None:
        self.matrix = matrix
        self._rows = rows_for(matrix, 1, K, dtype)
        self._shape = (N,)

    def __call__(self, x: Tensor) -> Tensor:
        """x [.., K], one row in all → [.., N], in x's dtype."""
        self._rows.x.copy_(x.view(1, -1))
        self._rows.ready()
        out = torch.empty(self._shape, dtype=self.matrix.dtype)
        self.matrix(self._rows, 0, out)
        out.mul_(self._rows.step)
        return out.to(x.dtype).view(*x.shape[:-1], -1)


def make_ready(weight: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
    """Makes a packed copy of a weight, if there is a quick form of it; `dtype` is that of x.

    One that is there already, of the same values, is kept.
    """
    if weight in _ready:
        return
    matrix = one_row(weight, scale)
    if not isinstance(matrix, CommonRow):  # that would keep the weight alive
        _ready[weight] = Alone(matrix, len(weight), width_of(weight), dtype)


def alone(x: Tensor, weight: Tensor) -> Alone | None:
    """What was made ready for x [.., K], if it is one row."""
    if x.numel() != x.shape[-1] or not torch.is_inference_mode_enabled():
        return None
    return _ready.get(weight)


def ready_matrix(weight: Tensor, scale: Tensor | None) -> OneRow:
    """For a step that has memory of its own: the same packed copy, if there is one."""
    found = _ready.get(weight)
    return found.matrix if found else one_row(weight, scale)
