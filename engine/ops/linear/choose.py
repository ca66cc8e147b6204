"""Which way a matrix takes for one row of activations on this CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.linear.digits import DigitRow, DigitRows, works
from engine.ops.linear.one_row import CommonRow, NativeRow, PlainRow, Rows

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.linear.one_row import OneRow


def one_row(weight: Tensor, scale: Tensor | None = None) -> OneRow:
    """A weight as `linear` takes it."""
    if scale is not None:
        fits = scale.ndim == 1 and works()
        return DigitRow(weight, scale) if fits else CommonRow(weight, scale)
    return PlainRow(weight) if weight.dtype == torch.float32 else NativeRow(weight)


def rows_for(matrix: OneRow, n: int, K: int, dtype: torch.dtype) -> Rows:
    """Memory for n inputs of such a matrix."""
    return (DigitRows if isinstance(matrix, DigitRow) else Rows)(n, K, dtype)
