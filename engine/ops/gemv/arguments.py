"""What a projection may do with its vector before, and with its result."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Norm(NamedTuple):
    """LayerNorm over the vector: weight, bias [K], and what is added to the variance."""

    weight: Tensor
    bias: Tensor
    eps: float


class Mix(NamedTuple):
    """The token shift, after the norm: x + (shift − x)·share.

    Attributes:
        shift: [B,K] run dtype, the normed vector of the token before.
        share: [K], of the token before; in `time_mix_in` [6,K].
        normed: [B,K] fp32; gets this token's. A later kernel makes it the shift, since this one's programs
            read that one all the time.
    """

    shift: Tensor
    share: Tensor
    normed: Tensor


class End(IntEnum):
    """What becomes of the result: it is stored, added to what is there, or its relu's square is stored."""

    STORE = 0
    ADD = 1
    SQUARED_RELU = 2
