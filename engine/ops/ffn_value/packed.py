"""Which way a product with a packed second matrix of the channel mix is computed on a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ops.ffn_value.triton_dot import ffn_value_dot
from engine.ops.ffn_value.triton_rows import MOST, ffn_value_rows_packed
from engine.ops.packed.unpacked import is_for_library, unpacked

if TYPE_CHECKING:
    from torch import Tensor


def ffn_value_packed(hidden: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """As `ffn_value_packed_naive`; hidden bf16 or fp16. Gradients reach it."""
    rows = hidden.reshape(-1, hidden.shape[-1])
    if is_for_library(rows, MOST):
        return hidden @ unpacked(weight, scale)
    product = (ffn_value_rows_packed if len(rows) <= MOST else ffn_value_dot)(
        rows.contiguous(), weight, scale
    )
    return product.view(*hidden.shape[:-1], -1)
