"""The four low-rank pairs of an RWKV-7 layer, for one token on a CPU: small products and one sum of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops.linear.one_row import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

LOW_RANK = "wavg"  # order in which the pairs lie; all but the last have a constant


def stacked(w: dict[str, Tensor], rank_v: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """First matrices [R,C] each; second ones below each other, each below its constant, [ΣR + 3, C].

    Layer 0 has no value residual; what stands in its place is not looked at.
    """
    if "att.v1" not in w:
        none = w["att.g1"].new_zeros(w["att.g1"].shape[0], rank_v)
        w = {**w, "att.v0": none.new_zeros(len(none)), "att.v1": none, "att.v2": none.mT}
    rows: list[Tensor] = []
    for letter in LOW_RANK:
        rows += [w[f"att.{letter}0"][None]] if f"att.{letter}0" in w else []
        rows.append(w[f"att.{letter}2"])
    return tuple(w[f"att.{letter}1"].mT.contiguous() for letter in LOW_RANK), torch.cat(rows)


class LowRank:
    """The memory between the matrices of each pair, of ranks `ranks`, and behind them: `out`, fp32 [4,C]."""

    def __init__(self, ranks: Sequence[int], C: int, dtype: torch.dtype) -> None:
        # a constant's row is weighed with 1
        sizes = [size for rank in ranks[:-1] for size in (1, rank)] + [ranks[-1]]
        self._hidden = torch.ones(sum(sizes), dtype=dtype)
        parts = self._hidden.split(sizes)
        self._parts = (*parts[1:-1:2], parts[-1])
        self._rows = torch.arange(len(self._hidden))
        bags = [sum(sizes[: 2 * i]) for i in range(len(ranks))]
        self._bags = torch.tensor(bags)
        self.out = torch.zeros(len(ranks), C)

    def __call__(self, inputs: Sequence[Tensor], first: Sequence[Tensor], second: Tensor) -> None:
        """inputs [C] each → `out`."""
        with native():
            for x, matrix, part in zip(inputs, first, self._parts, strict=True):
                torch.mv(matrix, x, out=part)
        self._parts[0].tanh_()
        self._parts[-1].sigmoid_()
        summed = F.embedding_bag(self._rows, second, self._bags, mode="sum", per_sample_weights=self._hidden)
        self.out.copy_(summed)
