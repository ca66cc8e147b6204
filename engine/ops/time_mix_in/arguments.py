"""The weights and buffers of one layer's `time_mix_in`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.matrix import Matrix

MIXED = "rwkvag"  # order of the six mixtures in `share`
LOW_RANK = "wavg"  # order of the low-rank networks; a first layer has no v: rank 0


class Ranks(NamedTuple):
    """Rows of each low-rank network's first matrix, one below the other."""

    w: int
    a: int
    v: int
    g: int


class TimeMixIn(NamedTuple):
    """Weights.

    Attributes:
        receptance, key, value: [C,C], of one form.
        low_rank: [R,C] run dtype; the rows of w, a, v, g.
    """

    receptance: Matrix
    key: Matrix
    value: Matrix
    low_rank: Tensor
    ranks: Ranks
