"""The channel mix's second matrix for one token on a CPU: the sum of the rows of units that are not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops.ffn_value import ffn_value

if TYPE_CHECKING:
    from torch import Tensor


class OneToken(Protocol):
    def __call__(self, hidden: Tensor) -> Tensor:
        """hidden [F] → [C]."""
        ...


def one_token_sum(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> OneToken:
    """For a weight as `ffn_value` takes it; `dtype` is the run dtype."""
    if scale is not None:
        return lambda hidden: ffn_value(hidden.to(dtype), weight, scale)
    if weight.dtype == torch.uint8:
        return _ByteRows(weight)
    if weight.stride() == (1, weight.shape[0]):
        return _Rows(weight.mT)
    return lambda hidden: ffn_value(hidden.to(dtype), weight)


class _Active:
    """Which units are not zero, in as many bags as there are threads: each sums one."""

    def __init__(self, F_: int) -> None:
        half = torch.arange(F_ + 1) // 2
        self._whole, self._halves = torch.zeros(1, dtype=torch.int64), torch.stack((half * 0, half), dim=1)

    def __call__(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        active = hidden.nonzero().view(-1)
        parted = torch.get_num_threads() > 1
        return active, self._halves[active.numel()] if parted else self._whole


def _joined(sums: Tensor) -> Tensor:
    """[bags,C] → [C]."""
    return sums[0] if len(sums) == 1 else sums[0] + sums[1]


class _Rows:
    """Rows [F,C] of numbers."""

    def __init__(self, rows: Tensor) -> None:
        self._rows, self._active = rows, _Active(len(rows))

    def __call__(self, hidden: Tensor) -> Tensor:
        active, bags = self._active(hidden)
        weights = hidden.index_select(0, active).to(self._rows.dtype)
        return _joined(F.embedding_bag(active, self._rows, bags, mode="sum", per_sample_weights=weights))


_sum_of_bytes = torch.ops.quantized.embedding_bag_byte_rowwise_offsets.default


class _ByteRows:
    """Rows of bytes, see `byte_rows`."""

    def __init__(self, rows: Tensor) -> None:
        self._rows, self._active = rows, _Active(len(rows))

    def __call__(self, hidden: Tensor) -> Tensor:
        active, bags = self._active(hidden)
        weights = hidden.index_select(0, active).float()
        return _joined(_sum_of_bytes(self._rows, active, bags, False, 0, False, weights, None, False))
