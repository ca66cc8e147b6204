"""The weights and buffers of one layer's `head_step`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.gemv.arguments import Norm
    from engine.ops.time_mix_in.arguments import Ranks


class HeadStep(NamedTuple):
    """Weights, in the run dtype.

    Attributes:
        low_rank: [C,R]; the columns of w, a, v, g.
        w0, a0, v0: [C]; of a first layer (rank of v: 0) v0 is never read.
        k_k, k_a: [C].  r_k: [H,N].
        norm: of each head.
    """

    low_rank: Tensor
    ranks: Ranks
    w0: Tensor
    a0: Tensor
    v0: Tensor
    k_k: Tensor
    k_a: Tensor
    r_k: Tensor
    norm: Norm


class HeadStates(NamedTuple):
    """What one layer's `head_step` changes in place.

    Attributes:
        wkv: [B,H,V,K] fp32.
        shift: [B,C] run dtype; becomes `normed` [B,C] fp32.
        v_first: [B,C] fp32; written by a first layer, read by all others.
    """

    wkv: Tensor
    shift: Tensor
    normed: Tensor
    v_first: Tensor
