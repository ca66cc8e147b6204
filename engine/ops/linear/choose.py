"""Which way a matrix takes for one row of activations on this CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.linear import linear
from engine.ops.linear.digits import DigitRow, DigitRows, works
from engine.ops.linear.int4 import Int4Row, takes_int4
from engine.ops.linear.one_row import NativeRow, PlainRow, Rows

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.linear.one_row import OneRow


def one_row(weight: Tensor, scale: Tensor | None = None) -> OneRow:
    """A weight as `linear` takes it."""
    if scale is not None:
        return _quantised(weight, scale)
    return PlainRow(weight) if weight.dtype == torch.float32 else NativeRow(weight)


class CommonRow:
    """A quantised matrix in whatever form, the way that any number of rows takes."""

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        self._weight, self._scale, self.dtype = weight, scale, scale.dtype

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        out.copy_(linear(rows.each[i][None], self._weight, self._scale)[0])


def _quantised(weight: Tensor, scale: Tensor) -> OneRow:
    if scale.ndim == 1 and works():
        return DigitRow(weight, scale)
    if scale.ndim == 2 and takes_int4(weight, scale):
        return Int4Row(weight, scale)
    return CommonRow(weight, scale)


def rows_for(matrix: OneRow, n: int, K: int, dtype: torch.dtype) -> Rows:
    """Memory for n inputs of such a matrix."""
    return (DigitRows if isinstance(matrix, DigitRow) else Rows)(n, K, dtype)
